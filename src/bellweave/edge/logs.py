"""Logs without secrets, as text for people or JSON for machines, on standard error.

Rules:

1. Key bytes never reach a log. Bytes of any kind, and whatever stands under a name that keys go by, are replaced by
   their length before a line is made, however deep they are nested; tracebacks are printed without local variables.
2. A request is one line (:mod:`bellweave.edge.access_log`): no body, no query string, of keys the ids only.
3. Lines of other libraries go the same way.
"""

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Literal, TextIO

import msgspec
import structlog

SECRET_NAMES = frozenset({
    "authorization", "bits", "body", "chunk", "cookie", "copy", "data", "key", "keys", "master_key", "material", "pad",
    "passphrase", "password", "private_key", "psk", "secret", "seed", "share", "token",
})  # fmt: skip
"""Names under which nothing is shown. ``key_id`` and ``key_ids`` are names of keys and are."""

Style = Literal["json", "text"]
Event = MutableMapping[str, Any]

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def configure(style: Style, *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Let every logger of this process write in this style.

    Args:
        style: ``json`` or ``text``.
        level: Lines below it are dropped, as in :mod:`logging`.
        stream: Where to; None: standard error.
    """
    out = stream or sys.stderr
    chain = processors(style)
    structlog.configure(
        processors=[structlog.processors.add_log_level, *chain],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,  # tests, and servers in one process, configure anew
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level], processors=[_forget_record, *chain]
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))  # libraries' own details are none of an operator's business


def processors(style: Style) -> list[Callable[[Any, str, Event], Any]]:
    """Return what a line goes through on its way, but for its level."""
    chain: list[Callable[[Any, str, Event], Any]] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(),  # plain: no local variables
        redact,
    ]
    return [*chain, _json if style == "json" else _text]


def redact(_logger: Any, _method: str, event: Event) -> Event:
    """Replace everything that may be key material."""
    for name, value in event.items():
        kind = type(value)
        if name in SECRET_NAMES:
            event[name] = _hidden(value)
        elif kind is not str and kind is not int and kind is not float and value is not None:
            event[name] = redacted(value)
    return event


def redacted(value: Any) -> Any:
    """Return a value with everything replaced that may be key material.

    >>> redacted({"key_id": "9c5f", "key": "QUJD", "parts": [b"abc", 3]})
    {'key_id': '9c5f', 'key': '<hidden>', 'parts': ['<3 bytes>', 3]}
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {
            name: _hidden(each) if str(name).lower() in SECRET_NAMES else redacted(each)
            for name, each in value.items()
        }  # fmt: skip
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(each) for each in value]
    if isinstance(value, msgspec.Struct):
        return redacted(msgspec.structs.asdict(value))
    return value


def _hidden(value: Any) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes | bytearray | memoryview) else "<hidden>"


def _forget_record(_logger: Any, _method: str, event: Event) -> Event:
    event.pop("_record", None)
    event.pop("_from_structlog", None)
    return event


def _json(_logger: Any, _method: str, event: Event) -> str:
    return _encode(event).decode()


def _text(_logger: Any, _method: str, event: Event) -> str:
    fields = dict(event)
    time, level, name = fields.pop("timestamp", ""), fields.pop("level", ""), fields.pop("event", "")
    trace = fields.pop("exception", None)
    words = "".join(f" {field}={word(value)}" for field, value in fields.items())
    return f"{time} {level:7} {name}{words}" + (f"\n{trace}" if trace else "")


def word(value: Any) -> str:
    """Return a value as it stands in a line of text: one word, in quotes where it would be none."""
    text = value if isinstance(value, str) else _encode(value).decode()
    return text if text.isprintable() and " " not in text and text else _encode(text).decode()
