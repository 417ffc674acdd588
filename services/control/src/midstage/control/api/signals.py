"""Signals over HTTP: sent by whoever knows a queue, and the newest of each.

What is sent is answered with 204 when Kafka has it. A figure that can't be, and a time that is far
ahead or long ago, are refused with their place, and then nothing of the request is written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final, Literal, Protocol

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from midstage.contracts.errors import RefusedError
from midstage.contracts.signals import MOST, SignalKind, SignalObserved
from midstage.control.model import Specified
from midstage.control.views.signals import SignalsAnswer, answer

AHEAD: Final = timedelta(seconds=10)
OLD: Final = timedelta(minutes=5)
_Figure = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
_Name = Annotated[str, Field(min_length=1, max_length=253)]


class Sent(BaseModel):
    """One signal; ``by_pod`` where the kind is pods, else ``value``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    app: _Name
    name: _Name
    kind: Literal["queue", "external", "object", "pods"] = "queue"
    series: Annotated[str, Field(max_length=4096)] = ""
    source: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,63}$")] = ""
    value: _Figure | None = None
    by_pod: Annotated[dict[_Name, _Figure], Field(max_length=5000)] = {}
    arrived_per_s: _Figure | None = None
    observed_at: AwareDatetime | None = None


class Body(BaseModel):
    """What is sent at once: all of it is written, or nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signals: Annotated[list[Sent], Field(min_length=1, max_length=1000)]


class Known(Protocol):
    """The newest of each signal."""

    def all(self, app: str | None = None) -> Sequence[SignalObserved]:
        """Those of an application, or all."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What the routes ask; ``write`` returns when the log has the facts."""

    known: Known
    write: Callable[[Sequence[SignalObserved]], None]
    apps: Callable[[], Mapping[str, Specified]]
    now: Callable[[], datetime]

    def send(self, body: Body) -> None:
        """Write what was sent; RefusedError names the first that can't be."""
        now, apps = self.now(), self.apps()
        facts = [_fact(each, f"signals.{n}", now) for n, each in enumerate(body.signals)]
        for n, fact in enumerate(facts):
            if not apps.get(fact.app, Specified()).there:
                where = f"signals.{n}.app"
                raise RefusedError(f"{where}: there is no application {fact.app!r}", status=404)
        self.write(facts)


def router(signals: Signals) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1", tags=["signals"])

    @routes.post("/signals", status_code=HTTPStatus.NO_CONTENT)
    def send_signals(body: Body) -> None:
        signals.send(body)

    @routes.get("/signals")
    def get_signals(app: Annotated[str | None, Query(max_length=256)] = None) -> SignalsAnswer:
        return answer(signals.known.all(app))

    return routes


def _fact(sent: Sent, where: str, now: datetime) -> SignalObserved:
    kind, at = SignalKind(sent.kind), sent.observed_at or now
    if kind is SignalKind.PODS and (sent.value is not None or not sent.by_pod):
        raise RefusedError(f"{where}.by_pod: a signal of pods has this, and no value")
    if kind is not SignalKind.PODS and (sent.value is None or sent.by_pod):
        raise RefusedError(f"{where}.value: a signal of kind {sent.kind} has this, and no by_pod")
    if sent.arrived_per_s is not None and kind is not SignalKind.QUEUE:
        raise RefusedError(f"{where}.arrived_per_s: a queue has this alone")
    if at > now + AHEAD:
        raise RefusedError(f"{where}.observed_at: {at.isoformat()} has not come yet")
    if at < now - OLD:
        raise RefusedError(f"{where}.observed_at: {at.isoformat()} is too long ago")
    return SignalObserved(
        app=sent.app,
        kind=kind,
        name=sent.name,
        series=sent.series,
        source="/".join(filter(None, ("api", sent.source))),
        observed_at=at,
        value=sent.value,
        by_pod=sent.by_pod,
        arrived_per_s=sent.arrived_per_s,
    )
