"""Messages on their way: each channel has its own, so that one that hangs keeps no other waiting.

message ─ tried, at most five times, longer apart each time ─ told, or given up
"""

import asyncio
import logging
import os
import random
import smtplib
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from email.message import EmailMessage

from features.futures import end
from monitoring.response.errors import ExchangeError, RefusedError
from monitoring.response.http import exchange
from monitoring.response.message import Message, for_alertmanager, for_mail, for_webhook, signed
from monitoring.response.policy import Alertmanager, Channel, Mail, Webhook

log = logging.getLogger(__name__)

TRIES = 5
FIRST_PAUSE_S = 1.0
"""Doubled each time, and shortened by chance by up to a half: receivers come back to fewer."""

WITHIN_S = 10.0
"""How long one try may take."""

_LATER = frozenset({408, 425, 429})
"""Statuses of the client's that may be others later."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a message; `why` it was given up, None where it was not."""

    channel: str
    message: Message
    tries: int
    why: str | None


class Couriers:
    """Carries messages to channels, one at a time to each."""

    def __init__(self, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Carry nothing yet."""
        self._pause = pause
        self._under_way: dict[str, asyncio.Task[Delivered]] = {}

    def is_busy(self, name: str) -> bool:
        """Tell whether a message is on its way to a channel, or its end was not asked for yet."""
        return name in self._under_way

    def send(self, name: str, channel: Channel, message: Message) -> None:
        """Begin to carry a message to a channel that is not busy."""
        self._under_way[name] = asyncio.create_task(self._carry(name, channel, message))

    def ended(self) -> list[Delivered]:
        """Return what became of messages since this was asked last."""
        done = [name for name, task in self._under_way.items() if task.done()]
        return [self._under_way.pop(name).result() for name in done]

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._under_way.values())
        self._under_way.clear()
        await end(*tasks)

    async def _carry(self, name: str, channel: Channel, message: Message) -> Delivered:
        pause_s = FIRST_PAUSE_S
        for tries in range(1, TRIES + 1):
            try:
                await deliver(channel, message)
            except ExchangeError as error:
                if tries == TRIES or isinstance(error, RefusedError):
                    return Delivered(name, message, tries, str(error))
            except Exception as error:  # a fault of ours, which another try would not mend
                log.exception("channel %s", name)
                return Delivered(name, message, tries, repr(error))
            else:
                return Delivered(name, message, tries, None)
            await self._pause(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause_s *= 2
        raise AssertionError  # the last try returned


def unset(channels: Mapping[str, Channel]) -> Iterator[tuple[str, str]]:
    """Yield the channels that can tell nothing, and the variable that each would need."""
    for name, channel in channels.items():
        if isinstance(channel, Webhook):
            variable = channel.secret_env
        else:
            variable = channel.password_env if isinstance(channel, Mail) else None
        if variable is not None and not os.environ.get(variable):
            yield name, variable


async def deliver(channel: Channel, message: Message) -> None:
    """Tell a channel once; raise `ExchangeError`, `RefusedError` where trying again is no use."""
    if isinstance(channel, Mail):
        await _mail(channel, message)
        return
    if isinstance(channel, Alertmanager):
        url, body = f"{channel.url}/api/v2/alerts", for_alertmanager(message)
        headers = {"Content-Type": "application/json"}
    else:
        url, body = channel.url, for_webhook(message)
        headers = dict(signed(message, body, _secret(channel)))
    status, _ = await exchange(url, body, headers, within_s=WITHIN_S)
    if 200 <= status < 300:
        return
    if 300 <= status < 500 and status not in _LATER:
        raise RefusedError(f"status {status}")
    raise ExchangeError(f"status {status}")


def _secret(channel: Webhook) -> str | None:
    return None if channel.secret_env is None else _variable(channel.secret_env)


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise RefusedError(f"the variable {name} is not set")
    return value


async def _mail(mail: Mail, message: Message) -> None:
    try:
        async with asyncio.timeout(WITHIN_S):
            await asyncio.to_thread(_send_mail, mail, for_mail(message, mail))
    except TimeoutError:
        raise ExchangeError(f"no answer within {WITHIN_S:g} s") from None


def _send_mail(mail: Mail, told: EmailMessage) -> None:
    password = None if mail.password_env is None else _variable(mail.password_env)
    try:
        with smtplib.SMTP(mail.host, mail.port, timeout=WITHIN_S / 4) as smtp:
            if mail.starttls:
                smtp.starttls(context=ssl.create_default_context())
            if mail.user is not None and password is not None:
                smtp.login(mail.user, password)
            smtp.send_message(told)
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        refused = RefusedError if error.smtp_code >= 500 else ExchangeError
        raise refused(f"SMTP {error.smtp_code} {text}") from error
    except smtplib.SMTPRecipientsRefused as error:
        refused = (
            RefusedError
            if all(code >= 500 for code, _ in error.recipients.values())
            else ExchangeError
        )
        raise refused(f"recipients refused: {', '.join(error.recipients)}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise ExchangeError(str(error) or type(error).__name__) from error
