"""What a policy must not say of its signals: what no rule could go by, and what nobody could read.

Each objection is a sentence that begins with the path of the field.
"""

from collections.abc import Iterator
from typing import Final

from midstage.contracts.autoscaling import Identifier
from midstage.contracts.policy import Policy
from midstage.contracts.signals import Signal

_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")


def objections(policy: Policy) -> Iterator[str]:
    """All that is wrong with its signals, and with the selectors of its metrics."""
    for name, signal in policy.signals.items():
        yield from _signal(signal, f"scaling.signals.{name}")
    for number, metric in enumerate(policy.metrics):
        for part, found in (
            ("pods", metric.pods),
            ("object", metric.object),
            ("external", metric.external),
        ):
            if found is not None:
                yield from _selector(found.metric, f"scaling.metrics[{number}].{part}.metric")


def _signal(signal: Signal, path: str) -> Iterator[str]:
    if signal.target is None and signal.drain_s is None:
        yield f"{path}: give a target for each replica, or drain_s, or both"
    if signal.rate is not None and signal.drain_s is None:
        yield f"{path}.rate: says how long it takes to drain, so it goes with drain_s"
    if signal.group and not signal.topics:
        yield f"{path}.topics: are missing, which topics does {signal.group!r} read?"
    if signal.topics and not signal.group:
        yield f"{path}.group: is missing, whose lag in {', '.join(signal.topics)} is it?"
    if len(set(signal.topics)) < len(signal.topics):
        yield f"{path}.topics: one is named twice"


def _selector(metric: Identifier, path: str) -> Iterator[str]:
    said = () if metric.selector is None else metric.selector.match_expressions
    for number, each in enumerate(said):
        if each.operator not in _OPERATORS:
            where = f"{path}.selector.matchExpressions[{number}].operator"
            yield f"{where}: {each.operator!r} is none of {', '.join(_OPERATORS)}"
