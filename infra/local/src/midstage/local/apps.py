"""The applications that the embedded platform routes, as the gateway reads them.

``chat`` answers the trace of conversations, ``code`` that of code completion.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

ON_THROTTLE_FAILURE: Final[Mapping[str, str]] = {"chat": "open", "code": "closed"}
"""By application: what happens to its requests while throttle can't be asked."""
TIMEOUT_S = 600


def of_trace(trace: str) -> str:
    """The application that a trace is replayed against."""
    return "code" if trace == "code" else "chat"


def encoded(replicas: Mapping[str, Sequence[str]]) -> bytes:
    """The file of applications for these base URLs of replicas."""
    return msgspec.json.format(
        msgspec.json.encode({"apps": [_app(app, replicas[app]) for app in ON_THROTTLE_FAILURE]})
    )


def _app(name: str, replicas: Sequence[str]) -> dict[str, object]:
    return {
        "name": name,
        "prefix": f"/{name}",
        "hosts": [f"{name}.localhost"],
        "on_throttle_failure": ON_THROTTLE_FAILURE[name],
        "endpoints": [base.removeprefix("http://") for base in replicas],
        "timeout_s": TIMEOUT_S,
    }
