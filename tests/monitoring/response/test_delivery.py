"""Alerts on their way: in each receiver's form, tried again where that may help, never for ever."""

import asyncio
import base64
import email
import email.policy
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from monitoring.response import delivery
from monitoring.response.alerts import alert_of, resolve
from monitoring.response.case import Case
from monitoring.response.delivery import TRIES, Couriers, Delivered, deliver
from monitoring.response.errors import ExchangeError, RefusedError
from monitoring.response.message import Message
from monitoring.response.parse import parse_policy
from monitoring.response.policy import Action, Alertmanager, Channel, Deed, Mail, Webhook
from tests.support.found import START_S, found
from tests.support.process import free_port
from tests.support.receivers import MailServer, Receiver, hang, listening

POLICY = parse_policy(
    "rules: [{name: world changed, on: drift, do: alert}]\n"
    "channels: {hook: {kind: webhook, url: http://x}}",
    "x",
)
ALERT = Deed(Action.ALERT)


def message(**fields: Any) -> Message:
    """Return what is told of a finding."""
    case = Case("id-1", POLICY.rules[0], (found(**fields),), POLICY, START_S)
    alert = alert_of(case, ALERT, ["retrain: begun"], None)
    return Message(alert, START_S + 60, START_S + 3_600)


def mail(port: int, **fields: Any) -> Mail:
    """Return where mail goes."""
    told = Mail("127.0.0.1", port, False, "cuvee@example.org", ("a@x.org", "b@x.org"))
    return replace(told, **fields)


async def quickly(_: float) -> None:
    """Wait for nothing."""
    await asyncio.sleep(0)


async def ended(couriers: Couriers) -> Delivered:
    """Return what became of the only message."""
    async with asyncio.timeout(30):
        while not (told := couriers.ended()):
            await asyncio.sleep(0.01)
    return told[0]


async def test_alertmanager() -> None:
    """Its API wants a list with labels, annotations, and when it begins and ends."""
    receiver = Receiver()
    async with listening(receiver.serve) as port:
        told = message()
        await deliver(Alertmanager(f"http://127.0.0.1:{port}/am"), told)
        resolve(told.alert)
        await deliver(Alertmanager(f"http://127.0.0.1:{port}"), told)
    first, second = receiver.requests
    assert first.line == "POST /am/api/v2/alerts HTTP/1.1"
    assert first.headers["content-type"] == "application/json"
    (alert,) = json.loads(first.body)
    assert alert["labels"] == {
        "alertname": "CuveeResponse",
        "rule": "world changed",
        "kind": "drift",
        "severity": "high",
    }
    assert alert["annotations"]["summary"].startswith("world changed: drift of spend: 0.4")
    assert "action: retrain: begun" in alert["annotations"]["description"]
    assert alert["startsAt"] == "2026-01-01T00:00:00.000+00:00"
    assert alert["endsAt"] == "2026-01-01T01:00:00.000+00:00"
    (over,) = json.loads(second.body)
    assert (over["labels"], over["endsAt"]) == (alert["labels"], "2026-01-01T00:01:00.000+00:00")


async def test_webhook_with_a_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the secret can tell that it is ours, and that it is not an old one."""
    monkeypatch.setenv("CUVEE_RESPONSE_SECRET", "a secret")
    receiver = Receiver()
    async with listening(receiver.serve) as port:
        channel = Webhook(f"http://127.0.0.1:{port}/hook", "CUVEE_RESPONSE_SECRET")
        await deliver(channel, message())
        await deliver(replace(channel, secret_env=None), message())
    signed, plain = receiver.requests
    content = b"%b.%b.%b" % (
        signed.headers["webhook-id"].encode(),
        signed.headers["webhook-timestamp"].encode(),
        signed.body,
    )
    digest = hmac.new(b"a secret", content, hashlib.sha256).digest()
    assert signed.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert "webhook-signature" not in plain.headers
    told = json.loads(signed.body)
    assert (told["status"], told["rule"], told["model"]) == ("firing", "world changed", "v1")
    assert told["findings"][0]["subject"] == "spend"
    assert (told["actions"], told["cost"]) == (["retrain: begun"], None)
    assert signed.headers["webhook-id"] == told["id"] == plain.headers["webhook-id"]


async def test_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a subject that says it all; a name with a line break breaks nothing."""
    server = MailServer()
    monkeypatch.setenv("CUVEE_RESPONSE_PASSWORD", "pw")
    async with listening(server.serve) as port:
        channel = mail(port, user="me", password_env="CUVEE_RESPONSE_PASSWORD")
        await deliver(channel, message(subject="spend\r\nBcc: all@x.org"))
    told = email.message_from_string(server.mails[0], policy=email.policy.default)
    assert told["Subject"].startswith("[firing high] world changed: drift of spend Bcc: all@x.org")
    assert (told["From"], told["To"]) == ("cuvee@example.org", "a@x.org, b@x.org")
    assert told["Bcc"] is None
    assert "action: retrain: begun" in told.get_content()
    assert any(each.startswith("AUTH PLAIN ") for each in server.commands)


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        ({"MAIL": "550 no such sender"}, RefusedError),
        ({"MAIL": "451 later"}, ExchangeError),
        ({"RCPT": "550 nobody"}, RefusedError),
        ({"RCPT": "450 greylisted"}, ExchangeError),
        ({"DATA": "554 spam"}, RefusedError),
        ({"AUTH": "535 wrong password"}, RefusedError),
    ],
)
async def test_mail_that_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, replies: dict[str, str], error: type[Exception]
) -> None:
    """What is refused for good is not tried again, what is put off is."""
    monkeypatch.setenv("CUVEE_RESPONSE_PASSWORD", "pw")
    server = MailServer(replies)
    async with listening(server.serve) as port:
        channel = mail(port, user="me", password_env="CUVEE_RESPONSE_PASSWORD")
        with pytest.raises(ExchangeError) as raised:
            await deliver(channel, message())
    assert type(raised.value) is error
    assert server.mails == []


async def test_a_server_without_tls_gets_no_mail_that_asks_for_it() -> None:
    """Nor a password."""
    server = MailServer()
    async with listening(server.serve) as port:
        with pytest.raises(ExchangeError, match="STARTTLS"):
            await deliver(mail(port, starttls=True), message())
    assert not any(each.startswith("AUTH") for each in server.commands)


async def test_a_secret_that_is_not_there() -> None:
    """Is told by name, and no use trying again."""
    channel = Webhook("http://127.0.0.1:1", "CUVEE_RESPONSE_NOT_SET")
    with pytest.raises(RefusedError, match="the variable CUVEE_RESPONSE_NOT_SET is not set"):
        await deliver(channel, message())


@pytest.mark.parametrize(
    ("statuses", "tries", "why"),
    [
        ([503, 429, 200], 3, None),
        ([500], TRIES, "status 500"),
        ([404], 1, "status 404"),
        ([302], 1, "status 302"),
    ],
)
async def test_tried_again_where_it_may_help(
    statuses: list[int], tries: int, why: str | None
) -> None:
    """So often and no more, each time the same message."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    receiver, couriers = Receiver(statuses), Couriers(pause)
    async with listening(receiver.serve) as port:
        couriers.send("hook", Webhook(f"http://127.0.0.1:{port}"), message())
        assert couriers.is_busy("hook")
        told = await ended(couriers)
    assert (told.tries, told.why, len(receiver.requests)) == (tries, why, tries)
    assert not couriers.is_busy("hook")
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1
    assert all(2**n / 2 <= each <= 2**n for n, each in enumerate(pauses))


@pytest.mark.parametrize("channel", [lambda port: Webhook(f"http://127.0.0.1:{port}"), mail])
async def test_a_channel_that_hangs_keeps_no_other_waiting(
    monkeypatch: pytest.MonkeyPatch, channel: Callable[[int], Channel]
) -> None:
    """It is given up, and may be closed in between."""
    monkeypatch.setattr(delivery, "WITHIN_S", 0.05)
    good, couriers = Receiver(), Couriers(quickly)
    async with listening(hang) as stuck, listening(good.serve) as port:
        couriers.send("stuck", channel(stuck), message())
        couriers.send("good", Webhook(f"http://127.0.0.1:{port}"), message())
        assert (await ended(couriers)).channel == "good"
        assert couriers.is_busy("stuck")
        told = await ended(couriers)
        assert (told.channel, told.tries) == ("stuck", TRIES)
        assert told.why
        couriers.send("stuck", channel(stuck), message())
        await couriers.close()
        assert not couriers.is_busy("stuck")


async def test_nobody_listens() -> None:
    """The reason is the system's."""
    with pytest.raises(ExchangeError, match=r"refused|Connect call failed"):
        await deliver(mail(free_port()), message())
