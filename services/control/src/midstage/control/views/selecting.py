"""Which objects are wanted, and a page of them: pure.

A page is cut after ``limit`` rows, and goes on after the last one's key: what comes or goes
meanwhile moves no other row to another page, so nothing that stays is missed or told twice.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar, assert_never

from midstage.contracts.cluster import (
    EndpointsObserved,
    NodeObserved,
    PodObserved,
    WorkloadObserved,
)
from midstage.contracts.errors import RefusedError
from midstage.contracts.inventory import Living

L = TypeVar("L", bound=Living)
APP, REVISION, WORKLOAD = "midstage.dev/app", "midstage.dev/revision", "midstage.dev/workload"
SERVICE = "kubernetes.io/service-name"
_TERM = re.compile(r"(?P<key>[^=!,\s]+)\s*(?:(?P<sign>!=|==?)\s*(?P<value>[^=!,\s]*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One demand on the labels: ``key`` is there, and is (not) ``value`` where one is given."""

    key: str
    value: str | None = None
    negated: bool = False

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is meant."""
        if self.value is None:
            return (self.key in labels) != self.negated
        return (labels.get(self.key) == self.value) != self.negated


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which objects; None and empty do not matter.

    ``q`` is a part of the name, of a label or of the reason, in small or large letters. ``node``
    and ``phase`` are those of pods, ``ready`` of pods and nodes; other kinds have none.
    """

    cluster: str | None = None
    namespace: str | None = None
    app: str | None = None
    node: str | None = None
    phase: str | None = None
    ready: bool | None = None
    labels: tuple[Term, ...] = ()
    q: str = ""

    def matches(self, fact: Living) -> bool:
        """Whether the object is wanted."""
        return (
            self.cluster in (None, fact.cluster)
            and self.namespace in (None, fact.namespace)
            and self.app in (None, _app(fact))
            and self._state_fits(fact)
            and self._labels_fit(fact)
            and self._is_found(fact)
        )

    def _state_fits(self, fact: Living) -> bool:
        pod = fact if isinstance(fact, PodObserved) else None
        known = fact.ready if isinstance(fact, PodObserved | NodeObserved) else None
        return (
            (self.node is None or (pod is not None and pod.node == self.node))
            and (self.phase is None or (pod is not None and pod.phase.value == self.phase))
            and self.ready in (None, known)
        )

    def _labels_fit(self, fact: Living) -> bool:
        if not self.labels:
            return True
        labels = labels_of(fact)
        return all(term.holds(labels) for term in self.labels)

    def _is_found(self, fact: Living) -> bool:
        if not self.q or self.q in fact.name:
            return True
        return self.q.casefold() in "\n".join(_words(fact)).casefold()


def terms(given: str) -> tuple[Term, ...]:
    """``key=value,key!=value,key,!key`` with commas between; RefusedError where it is not so."""
    return tuple(_term(part.strip()) for part in given.split(",") if part.strip())


def labels_of(fact: Living) -> Mapping[str, str]:
    """A node's labels; of what is ours the labels that it has in every cluster."""
    match fact:
        case NodeObserved():
            return fact.labels
        case PodObserved():
            return {APP: fact.app, REVISION: fact.revision, WORKLOAD: fact.workload}
        case WorkloadObserved():
            return {APP: fact.app, REVISION: fact.revision, WORKLOAD: fact.name}
        case EndpointsObserved():
            return {APP: fact.app, SERVICE: fact.service}
        case _:
            assert_never(fact)


def page(
    found: Sequence[L], wanted: Wanted, *, after: str | None, limit: int
) -> tuple[Sequence[L], str | None]:
    """At most ``limit`` of the wanted after the key ``after``, and the key to go on after.

    ``found`` is in the order of the keys; no key: there are no more.
    """
    shown: list[L] = []
    first = 0 if after is None else bisect_right(found, after, key=key)
    for fact in islice(found, first, None):
        if not wanted.matches(fact):
            continue
        if len(shown) == limit:
            return shown, key(shown[-1])
        shown.append(fact)
    return shown, None


def key(fact: Living) -> str:
    """``cluster/namespace/name``: the place of an object in every list of its kind."""
    return f"{fact.cluster}/{fact.namespace}/{fact.name}"


def _term(part: str) -> Term:
    negated, rest = part.startswith("!"), part.removeprefix("!").strip()
    found = _TERM.fullmatch(rest)
    if found is None or (negated and found["sign"]):
        raise RefusedError(
            f"{part[:100]!r} is no demand on labels: key=value, key!=value, key, !key"
        )
    if not found["sign"]:
        return Term(key=rest, negated=negated)
    return Term(key=found["key"], value=found["value"], negated=found["sign"] == "!=")


def _app(fact: Living) -> str:
    return "" if isinstance(fact, NodeObserved) else fact.app


def _words(fact: Living) -> Sequence[str]:
    """All that is looked through."""
    match fact:
        case NodeObserved():
            labels = [f"{name}={value}" for name, value in fact.labels.items()]
            return (fact.name, fact.reason, *labels)
        case PodObserved():
            return (fact.name, fact.node, fact.reason, fact.message, *_ours(fact, fact.workload))
        case WorkloadObserved():
            return (fact.name, fact.reason, *fact.drift, *_ours(fact, fact.name))
        case EndpointsObserved():
            addresses = [f"{each.address} {each.pod}" for each in fact.endpoints]
            return (fact.name, f"{APP}={fact.app}", f"{SERVICE}={fact.service}", *addresses)
        case _:
            assert_never(fact)


def _ours(fact: PodObserved | WorkloadObserved, workload: str) -> Sequence[str]:
    return f"{APP}={fact.app}", f"{REVISION}={fact.revision}", f"{WORKLOAD}={workload}"
