"""Which signals the policies name, so which are to be read; nothing else is ever asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

from midstage.contracts.apps import (
    AppFact,
    AppRemoved,
    AppSpecified,
    RolloutEnded,
    RolloutPaused,
    RolloutProgressed,
    RolloutResumed,
    RolloutStarted,
)
from midstage.contracts.autoscaling import Described, Identifier
from midstage.contracts.policy import Policy
from midstage.contracts.signals import SignalKind, series_of, series_of_lag
from midstage.control.model import Specified


@dataclass(frozen=True, slots=True, kw_only=True)
class OfPods:
    """A value of each pod of the application."""

    metric: Identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class OfObject:
    """A value of an object."""

    metric: Identifier
    described: Described


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """A value from outside."""

    metric: Identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class OfGroup:
    """The lag of a consumer group."""

    group: str
    topics: tuple[str, ...]


Question = OfPods | OfObject | External | OfGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A signal of an application, and what to ask for it."""

    app: str
    kind: SignalKind
    name: str
    series: str
    question: Question


def specified(_held: Specified, fact: AppFact) -> Specified:
    """What is known of the application after ``fact``."""
    match fact:
        case AppSpecified():
            return Specified(there=True, policy=fact.spec.scaling)
        case AppRemoved():
            return Specified()
        case (
            RolloutStarted()
            | RolloutProgressed()
            | RolloutPaused()
            | RolloutResumed()
            | RolloutEnded()
        ):
            return _held
        case _:
            assert_never(fact)


def wanted(apps: Mapping[str, Specified]) -> tuple[Wanted, ...]:
    """What the policies name, each once, by application."""
    return tuple(
        dict.fromkeys(
            each
            for app, held in sorted(apps.items())
            if held.policy is not None
            for each in _of(app, held.policy)
        )
    )


def _of(app: str, policy: Policy) -> Iterator[Wanted]:
    for name, said in sorted(policy.signals.items()):
        if said.group:
            yield Wanted(
                app=app,
                kind=SignalKind.LAG,
                name=name,
                series=series_of_lag(said),
                question=OfGroup(group=said.group, topics=said.topics),
            )
    for metric in policy.metrics:
        if metric.pods is not None:
            yield _measured(app, SignalKind.PODS, OfPods(metric=metric.pods.metric))
        if metric.object is not None:
            question = OfObject(
                metric=metric.object.metric, described=metric.object.described_object
            )
            yield _measured(app, SignalKind.OBJECT, question)
        if metric.external is not None:
            yield _measured(app, SignalKind.EXTERNAL, External(metric=metric.external.metric))


def _measured(app: str, kind: SignalKind, question: OfPods | OfObject | External) -> Wanted:
    described = question.described if isinstance(question, OfObject) else None
    series = series_of(question.metric, described)
    return Wanted(app=app, kind=kind, name=question.metric.name, series=series, question=question)
