"""Logs are JSON lines on stderr: a constant event word, fields, and the bound correlation.

What is bound (``request_id``, ``trace_id``, …) stands on every line that the same request or task
writes, whoever writes it. Lines of foreign libraries have the event ``foreign`` and a ``message``.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType

import msgspec

_NOTHING: Mapping[str, object] = MappingProxyType({})
_BOUND: ContextVar[Mapping[str, object]] = ContextVar("midstage_log_fields", default=_NOTHING)
_RESERVED = frozenset({"time", "level", "service", "logger", "event"})
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_QUIET = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "httpx", "httpcore")


class Logger:
    """Writes events; a field named like a reserved one gets a trailing underscore."""

    def __init__(self, name: str) -> None:
        """Write under ``name``."""
        self._inner = logging.getLogger(name)

    def debug(self, event: str, /, **fields: object) -> None:
        """What helps to find a fault, and nobody needs otherwise."""
        self._write(logging.DEBUG, event, fields, None)

    def info(self, event: str, /, **fields: object) -> None:
        """A decision or a step, once."""
        self._write(logging.INFO, event, fields, None)

    def warning(
        self, event: str, /, *, raised: BaseException | None = None, **fields: object
    ) -> None:
        """Something that heals by itself, or that somebody should know."""
        self._write(logging.WARNING, event, fields, raised)

    def error(
        self, event: str, /, *, raised: BaseException | None = None, **fields: object
    ) -> None:
        """Something that somebody must do something about; ``raised`` adds type, text and trace."""
        self._write(logging.ERROR, event, fields, raised)

    def _write(
        self, level: int, event: str, fields: Mapping[str, object], raised: BaseException | None
    ) -> None:
        if self._inner.isEnabledFor(level):
            self._inner.log(
                level, "%s", event, extra={"event": event, "fields": fields}, exc_info=raised
            )


def logger(name: str) -> Logger:
    """The logger of a module: ``logger(__name__)``."""
    return Logger(name)


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Put ``fields`` on every line written inside, also by tasks started inside."""
    token = _BOUND.set({**_BOUND.get(), **fields})
    try:
        yield
    finally:
        _BOUND.reset(token)


def configure(*, service: str, level: str = "info") -> None:
    """Send every log line of this process to stderr as JSON; ValueError for an unknown level."""
    if level not in _LEVELS:
        raise ValueError(f"log level {level!r} is none of {', '.join(_LEVELS)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service=service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for name in _QUIET:
        quiet = logging.getLogger(name)
        quiet.handlers.clear()
        quiet.propagate = True
        quiet.setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_said_already)
    logging.captureWarnings(capture=True)
    sys.excepthook = _crashed
    threading.excepthook = _thread_crashed


class JsonLines(logging.Formatter):
    """One line of JSON per record: time, level, service, logger, event, then the fields."""

    def __init__(self, *, service: str) -> None:
        """Name the service on each line."""
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; a value that JSON can't say is written as its text."""
        line: dict[str, object] = {
            "time": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            **_content(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line.update(_failure(record.exc_info[1]))
        return msgspec.json.encode(line, enc_hook=str).decode()


def _said_already(record: logging.LogRecord) -> bool:
    """False for uvicorn's copy of an error that ``problems`` has logged with its request."""
    return not str(record.msg).startswith("Exception in ASGI application")


def _content(record: logging.LogRecord) -> dict[str, object]:
    fields: Mapping[str, object] = getattr(record, "fields", _NOTHING)
    event = getattr(record, "event", None)
    said = {**_BOUND.get(), **fields}
    if event is None:
        event, said = "foreign", {**said, "message": record.getMessage()}
    safe = {f"{name}_" if name in _RESERVED else name: value for name, value in said.items()}
    return {"event": event, **safe}


def _failure(raised: BaseException) -> dict[str, object]:
    return {
        "error_type": type(raised).__name__,
        "error": str(raised),
        "traceback": "".join(traceback.format_exception(raised)),
    }


def _rfc3339(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _crashed(kind: type[BaseException], raised: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, raised, trace)
        return
    Logger("midstage").error("crashed", raised=raised)


def _thread_crashed(args: threading.ExceptHookArgs) -> None:
    thread = args.thread.name if args.thread else "?"
    Logger("midstage").error("thread_crashed", raised=args.exc_value, thread=thread)
