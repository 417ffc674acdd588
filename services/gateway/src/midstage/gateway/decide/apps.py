"""What people wrote in the applications file and the keys file, checked before Envoy sees it.

Refused as a whole: a file with one fault changes nothing, and the sentence names the fault.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import msgspec

from midstage.contracts.errors import RefusedError
from midstage.contracts.limits import FailureRule
from midstage.contracts.requests import UNKNOWN_CUSTOMER
from midstage.gateway.model.apps import (
    THROTTLE_CLUSTER,
    UNKNOWN_APP,
    ApiKey,
    App,
    Endpoint,
    Replica,
)

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_HOST = re.compile(r"[a-z0-9.-]{1,253}")
_CUSTOMER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}")  # whom throttle can limit
_KEY = re.compile(r"[!-~]{1,1024}")
_TAKEN = (UNKNOWN_APP, THROTTLE_CLUSTER)


class WrittenApp(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One application as the file has it."""

    name: str
    prefix: str = ""
    hosts: list[str] = []
    on_throttle_failure: FailureRule = FailureRule.OPEN
    endpoints: list[str] = []
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 600.0


class WrittenKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the keys file says of a key that has a name; one without is the customer alone."""

    customer: str
    name: str


class WrittenApps(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The applications file."""

    apps: list[WrittenApp]


def apps(written: WrittenApps) -> tuple[App, ...]:
    """The applications; RefusedError naming the first fault."""
    found = tuple(_app(app) for app in written.apps)
    _once((app.name for app in found), "application name")
    _once((app.prefix for app in found if app.prefix), "prefix")
    _once((host for app in found for host in app.hosts), "host")
    return found


def keys(written: Mapping[str, str | WrittenKey]) -> tuple[ApiKey, ...]:
    """The callers' keys; RefusedError naming the first customer that can't be one, never a key."""
    return tuple(_key(key, of) for key, of in sorted(written.items()))


def endpoint(text: str) -> Endpoint:
    """``host:port`` as an endpoint; RefusedError for anything else."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65_536:
        raise RefusedError(f"{text!r} is not host:port")
    return Endpoint(host=host, port=int(port))


def checked(name: str, *, prefix: str, hosts: Sequence[str]) -> None:
    """RefusedError where an application can't be called so or reached so, whoever says it."""
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise RefusedError(
            f"{name!r} can't be an application: up to 63 of a-z, 0-9 and -, "
            f"and none of {', '.join(_TAKEN)}"
        )
    if prefix and not _PREFIX.fullmatch(prefix):
        raise RefusedError(f"{name}: prefix {prefix!r} is not a path such as /chat")
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise RefusedError(f"{name}: host {host!r} is not a lower-case host name without port")


def _key(key: str, of: str | WrittenKey) -> ApiKey:
    customer, name = (of, "") if isinstance(of, str) else (of.customer, of.name)
    if not _CUSTOMER.fullmatch(customer) or customer == UNKNOWN_CUSTOMER:
        raise RefusedError(
            f"{customer!r} can't be a customer: up to 128 letters, digits and ._@:+-, "
            f"and not {UNKNOWN_CUSTOMER!r}"
        )
    if name and not _CUSTOMER.fullmatch(name):
        raise RefusedError(
            f"{name!r} can't be the name of a key: up to 128 letters, digits and ._@:+-"
        )
    if not _KEY.fullmatch(key):
        raise RefusedError(
            f"a key of {customer!r} is not 1 to 1024 printable characters without blanks"
        )
    return ApiKey(key=key, customer=customer, name=name)


def _app(written: WrittenApp) -> App:
    name = written.name
    checked(name, prefix=written.prefix, hosts=written.hosts)
    if not (written.prefix or written.hosts):
        raise RefusedError(f"{name} has neither prefix nor hosts, so nobody can reach it")
    return App(
        name=name,
        prefix=written.prefix,
        hosts=tuple(written.hosts),
        replicas=_replicas(name, written.endpoints),
        on_throttle_failure=written.on_throttle_failure,
        timeout_s=written.timeout_s,
    )


def _replicas(name: str, written: Sequence[str]) -> tuple[Replica, ...]:
    found = tuple(endpoint(text) for text in written)
    _once((str(at) for at in found), f"endpoint of {name}")
    return tuple(Replica(endpoint=at) for at in sorted(found, key=str))


def _once(values: Iterable[str], what: str) -> None:
    for value, times in Counter(values).items():
        if times > 1:
            raise RefusedError(f"{what} {value!r} stands there {times} times")
