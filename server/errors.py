"""Errors the client sees, each with its HTTP status, as RFC 9457 problem details.

    bad bytes ─ ClientError 4xx        the client's to mend; `errors` names the fields
    no model, no store ─ UnavailableError 503 with Retry-After

A recommendation that went wrong inside is none of these: it is answered from the ladder.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import orjson

from features.errors import FieldError
from server.response import NO_HEADERS, Response

PROBLEM_TYPE = "application/problem+json"


class ServiceError(Exception):
    """Base of every error that becomes a problem document."""

    status = 500
    title = "Internal error"
    ends_connection = False
    """Where the next request would begin is not known any more."""

    def __init__(self, detail: str, errors: Sequence[tuple[str, str]] = ()) -> None:
        """Keep `detail` for a person and `errors`, (field, message) pairs, for a program."""
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)

    def headers(self) -> dict[str, str]:
        """Return the headers this error needs beside the body."""
        return {}


class ClientError(ServiceError):
    """The request cannot be served as it stands."""

    status = 400
    title = "Bad request"


class MalformedError(ClientError):
    """The body is not JSON."""

    title = "Malformed JSON"


class BrokenBodyError(ClientError):
    """The body ended too soon, or is not encoded as its headers say."""

    title = "Broken body"
    ends_connection = True


class SlowBodyError(ClientError):
    """The body did not arrive in time."""

    status = 408
    title = "Request timeout"
    ends_connection = True


class UnauthorizedError(ClientError):
    """An admin route was called without its token."""

    status = 401
    title = "Unauthorized"

    def headers(self) -> dict[str, str]:
        """Name the scheme, as HTTP asks of a 401."""
        return {"WWW-Authenticate": "Bearer"}


class ForbiddenError(ClientError):
    """An admin route was called with a wrong token, or admin routes are off."""

    status = 403
    title = "Forbidden"


class NotFoundError(ClientError):
    """What the path names does not exist."""

    status = 404
    title = "Not found"


class ConflictError(ClientError):
    """The state of the service forbids what was asked."""

    status = 409
    title = "Conflict"


class MethodError(ClientError):
    """The path has no such method."""

    status = 405
    title = "Method not allowed"

    def __init__(self, detail: str, allowed: Sequence[str]) -> None:
        """Tell the client which methods there are."""
        super().__init__(detail)
        self._allowed = allowed

    def headers(self) -> dict[str, str]:
        """Name the methods."""
        return {"Allow": ", ".join(self._allowed)}


class TooLargeError(ClientError):
    """The body exceeds the route's limit."""

    status = 413
    title = "Body too large"


class UnsupportedTypeError(ClientError):
    """The body is announced as something other than JSON."""

    status = 415
    title = "Unsupported media type"


class InvalidError(ClientError):
    """A field has a value that is not allowed."""

    status = 422
    title = "Invalid field"

    @classmethod
    def of(cls, error: FieldError) -> Self:
        """Return what a field that was refused is to the client."""
        return cls(str(error), [(error.field, error.message)])


class UnavailableError(ServiceError):
    """The service cannot take this request now; the client may come back."""

    status = 503
    title = "Service unavailable"

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        """Tell the client to come back in `retry_after_s` seconds."""
        super().__init__(detail)
        self.retry_after_s = retry_after_s

    def headers(self) -> dict[str, str]:
        """Say when to come back."""
        return {"Retry-After": str(self.retry_after_s)}


def problem_response(error: ServiceError, request_id: str) -> Response:
    """Return the problem document of `error`."""
    response = problem(
        error.status, error.title, error.detail, request_id, error.errors, error.headers()
    )
    if error.ends_connection:
        response.ends_connection = True
    return response


def problem(
    status: int,
    title: str,
    detail: str,
    request_id: str,
    errors: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] = NO_HEADERS,
) -> Response:
    """Return an RFC 9457 `application/problem+json` response."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    if errors:
        body["errors"] = [{"field": field, "message": message} for field, message in errors]
    return Response(orjson.dumps(body), status, PROBLEM_TYPE, headers)
