"""Where alerts go, from YAML: Alertmanager, a webhook, mail."""

from functools import partial
from urllib.parse import urlsplit

from features.errors import FieldError
from models.rules.fields import Fields, text, truth, whole
from monitoring.response.policy import Alertmanager, Channel, Mail, Webhook

_CHANNELS = {
    "alertmanager": ("url",),
    "webhook": ("url", "secret_env"),
    "mail": ("host", "port", "starttls", "from", "to", "user", "password_env"),
}


def channels_of(fields: Fields) -> dict[str, Channel]:
    """Return the channels that are declared, by name."""
    raw = dict(fields.items()).get("channels")
    names = [str(each) for each in raw] if isinstance(raw, dict) else []
    told = fields.within("channels", names)
    every = ("kind", *{field for some in _CHANNELS.values() for field in some})
    return {name: _channel(told.within(name, every)) for name in names}


def _channel(fields: Fields) -> Channel:
    kind = fields.need("kind", _channel_kind, "webhook")
    known = ("kind", *_CHANNELS[kind])
    for name in {name for name, _ in fields.items()} - set(known):
        fields.wrong(name, f"a channel of kind {kind} has {', '.join(known[1:])}")
    if kind == "alertmanager":
        return Alertmanager(fields.need("url", _url, ""))
    if kind == "webhook":
        return Webhook(fields.need("url", _url, ""), fields.get("secret_env", text, None))
    return Mail(
        host=fields.need("host", text, ""),
        port=fields.get("port", partial(whole, low=1, high=65_535), 587),
        starttls=fields.get("starttls", truth, True),
        sender=fields.need("from", _address, ""),
        to=fields.need("to", _addresses, ()),
        user=fields.get("user", text, None),
        password_env=fields.get("password_env", text, None),
    )


def _channel_kind(raw: object, where: str) -> str:
    if raw not in _CHANNELS:
        raise FieldError(where, f"expected one of {', '.join(_CHANNELS)}; got {raw!r:.40}")
    return str(raw)


def urls(raw: object, where: str) -> tuple[str, ...]:
    """Return one URL, or several, as a list."""
    return tuple(_url(each, where) for each in names(raw, where)) if raw else ()


def _url(raw: object, where: str) -> str:
    told = text(raw, where)
    try:
        parts = urlsplit(told)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or not told.isprintable() or " " in told:
        raise FieldError(where, f"expected a URL of http:// or https://, got {raw!r:.80}")
    return told.rstrip("/")


def _address(raw: object, where: str) -> str:
    told = text(raw, where)
    name, at, host = told.rpartition("@")
    if not (name and at and host) or not told.isprintable() or any(each in told for each in " ,<>"):
        raise FieldError(where, f"expected an address like ops@example.org, got {raw!r:.80}")
    return told


def _addresses(raw: object, where: str) -> tuple[str, ...]:
    return tuple(_address(each, where) for each in names(raw, where))


def names(raw: object, where: str) -> tuple[str, ...]:
    """Return one name, or several."""
    if not isinstance(raw, list):
        return (text(raw, where),)
    return tuple(text(each, f"{where}[{place}]") for place, each in enumerate(raw))
