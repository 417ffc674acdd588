"""Where a request may still go, as envoyproxy/ratelimit tells it to Envoy's next filters.

Open is a descriptor that is not over and, in quota mode, whose whole group isn't: a model whose
customer has spent his part is no place to route to, though its common part has some left.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from midstage.throttle.model.imported import FREE, Descriptor, Metadata, Status, Value

BACKEND: Final = "backend_name"
MODEL: Final = "model_name_override"


def group_of(descriptor: Descriptor) -> str:
    """What a descriptor in quota mode is judged with: its model, else itself alone."""
    named = _named(descriptor)
    return "|".join(named) if any(named) else repr(descriptor.entries)


def open_ones(
    descriptors: Sequence[Descriptor], statuses: Sequence[Status], *, all_quota: bool
) -> tuple[Sequence[int], bool]:
    """The numbers of those that are open, and whether any is in quota mode."""
    groups: dict[str, bool] = {}
    group_by_number: dict[int, str] = {}
    passed = []
    for number, (descriptor, status) in enumerate(zip(descriptors, statuses, strict=True)):
        if status is FREE:
            continue
        if not status.over:
            passed.append(number)
        if all_quota or (status.limit is not None and status.limit.quota):
            group = group_by_number[number] = group_of(descriptor)
            groups[group] = groups.get(group, False) or status.over
    still = [
        number
        for number in passed
        if number not in group_by_number or not groups[group_by_number[number]]
    ]
    return still, bool(groups)


def together(metadata: Sequence[Metadata]) -> Metadata:
    """What several descriptors say: of two values the first, of two maps what both say."""
    said: dict[str, Value] = {}
    for each in metadata:
        for key, value in each.items():
            before = said.setdefault(key, value)
            if isinstance(before, Mapping) and isinstance(value, Mapping) and before is not value:
                said[key] = together([before, value])
    return said


def backends_of(descriptors: Sequence[Descriptor]) -> Sequence[Metadata]:
    """Each model that they name, once."""
    named = dict.fromkeys(_named(each) for each in descriptors)
    return [{BACKEND: backend, MODEL: model} for backend, model in named if backend or model]


def _named(descriptor: Descriptor) -> tuple[str, str]:
    values = dict(descriptor.entries)
    return values.get(BACKEND, ""), values.get(MODEL, "")
