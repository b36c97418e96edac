"""What is told of an alert, in the form of each kind of receiver."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Any

import orjson

from monitoring.response.policy import Mail
from monitoring.response.state import Alert

FIRING, RESOLVED = "firing", "resolved"
RUNBOOK = "docs/response.md"

_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Message:
    """An alert as it is told at one moment; until `expires_s` it holds unless told again."""

    alert: Alert
    at_s: float
    expires_s: float

    @property
    def status(self) -> str:
        """Return whether it is open or over."""
        return RESOLVED if self.alert.is_resolved else FIRING

    @property
    def id(self) -> str:
        """Return a name of what is told, the same however often it is sent."""
        return f"{self.alert.id}.{self.alert.digest}"


def for_alertmanager(message: Message) -> bytes:
    """Return the body of `POST /api/v2/alerts`."""
    alert = message.alert
    ends_s = message.at_s if alert.is_resolved else message.expires_s
    told = {
        "labels": alert.labels,
        "annotations": {
            "summary": alert.summary,
            "description": as_text(alert.details),
            "runbook": RUNBOOK,
        },
        "startsAt": _iso(min(alert.since_s, message.at_s)),
        "endsAt": _iso(ends_s),
    }
    return orjson.dumps([told])


def for_webhook(message: Message) -> bytes:
    """Return a JSON object, the same to the byte for one message."""
    alert = message.alert
    return orjson.dumps(
        {
            "version": 1,
            "id": message.id,
            "status": message.status,
            "rule": alert.rule,
            "labels": alert.labels,
            "summary": alert.summary,
            "since": _iso(alert.since_s),
            "at": _iso(message.at_s),
            **alert.details,
        }
    )


def signed(message: Message, body: bytes, secret: str | None) -> Mapping[str, str]:
    """Return the headers of a webhook: id, moment, and the signature of both with the body.

    As in Standard Webhooks: HMAC-SHA256 in base64, `v1,` before it.
    """
    moment = str(int(message.at_s))
    headers = {**_JSON, "webhook-id": message.id, "webhook-timestamp": moment}
    if secret is None:
        return headers
    content = b"%b.%b.%b" % (message.id.encode(), moment.encode(), body)
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return {**headers, "webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}


def for_mail(message: Message, mail: Mail) -> EmailMessage:
    """Return the mail."""
    alert, told = message.alert, EmailMessage()
    severity = alert.labels.get("severity", "")
    told["Subject"] = _one_line(f"[{message.status} {severity}] {alert.summary}")[:200]
    told["From"] = mail.sender
    told["To"] = ", ".join(mail.to)
    told["Date"] = format_datetime(datetime.fromtimestamp(message.at_s, UTC))
    told["Message-ID"] = make_msgid(idstring=alert.digest, domain=mail.sender.rpartition("@")[2])
    told["Auto-Submitted"] = "auto-generated"
    told.set_content(
        f"{alert.summary}\n\nsince {_iso(alert.since_s)}\n{as_text(alert.details)}\n\n{RUNBOOK}\n"
    )
    return told


def as_text(details: Mapping[str, Any]) -> str:
    """Return details as lines for people."""
    lines = [f"model: {details['model']}"]
    lines += [f"finding: {each}" for each in details["told"]]
    lines += [f"action: {each}" for each in details["actions"]]
    if details.get("cost_told"):
        lines.append(f"cost: {details['cost_told']}")
    return "\n".join(map(_one_line, lines))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
