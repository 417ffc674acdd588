"""``RateLimitRequest`` to what the engine asks, and its answer to ``RateLimitResponse``.

``is_negative_hits`` is newer than the messages of the library: they are read with that field added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from envoy.extensions.common.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    ratelimit_pb2,
)
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)
from google.protobuf import descriptor, descriptor_pb2, descriptor_pool, message_factory

from midstage.contracts.errors import RefusedError
from midstage.limits.headers import Policy, State, old_headers
from midstage.throttle.decide.imported.routing import backends_of, open_ones, together
from midstage.throttle.model.imported import (
    Answer,
    Descriptor,
    Override,
    Request,
    Rule,
    Status,
    Unit,
)

_NS_PER_S: Final = 1_000_000_000
_RLS: Final = rls_pb2.RateLimitResponse
_UNITS: Final = {_RLS.RateLimit.Unit.Value(unit.name): unit for unit in Unit}
"""By number, which is the same in a limit that a request carries."""
_NUMBERS: Final = {unit: number for number, unit in _UNITS.items()}
_NEWER: Final = ("RateLimitDescriptor", "is_negative_hits", 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What answers tell beside the verdict; nothing by default, as there.

    ``headers`` is what the three headers' names begin with; ``metadata`` describes the question to
    Envoy's next filters, and where it may still go; with ``all_quota`` every rule is in quota mode.
    """

    headers: str = ""
    metadata: bool = False
    all_quota: bool = False


def _message() -> Any:
    """The class of ``RateLimitRequest``, with what is newer."""
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()

    def add(file: descriptor.FileDescriptor) -> None:
        if file.name in added:
            return
        added.add(file.name)
        for each in file.dependencies:
            add(each)
        copied = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(copied)
        if file.name == ratelimit_pb2.DESCRIPTOR.name:
            _grow(copied)
        pool.Add(copied)

    add(rls_pb2.DESCRIPTOR)
    found = pool.FindMessageTypeByName(rls_pb2.RateLimitRequest.DESCRIPTOR.full_name)
    return message_factory.GetMessageClass(found)


def _grow(file: descriptor_pb2.FileDescriptorProto) -> None:
    name, newer, number = _NEWER
    message = next(each for each in file.message_type if each.name == name)
    if newer not in {each.name for each in message.field}:
        message.field.add(
            name=newer,
            number=number,
            type=descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
            label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
            json_name="isNegativeHits",
        )


RateLimitRequest: Final = _message()


def request_of(message: Any) -> Request:
    """What a ``RateLimitRequest`` asks; RefusedError for a limit without a unit."""
    return Request(
        domain=message.domain,
        descriptors=tuple(_descriptor(each) for each in message.descriptors),
        hits=message.hits_addend,
    )


def response(answer: Answer, asked: Any, request: Request, telling: Telling) -> Any:
    """The ``RateLimitResponse`` of an answer to the message ``asked``, read as ``request``."""
    told = _RLS(overall_code=_code(answer.over))
    for status in answer.statuses:
        _tell(told.statuses.add(code=_code(status.over)), status)
    if telling.headers and answer.least is not None:
        for name, value in _headers(answer.least, telling.headers):
            told.response_headers_to_add.add(key=name, value=value)
    if telling.metadata:
        told.dynamic_metadata.update(_metadata(asked, answer.statuses, telling))
        told.dynamic_metadata.update(_open(request.descriptors, answer.statuses, telling))
    return told


def _descriptor(message: Any) -> Descriptor:
    hits: int | None = message.hits_addend.value if message.HasField("hits_addend") else None
    if message.is_negative_hits:
        hits = -(1 if hits is None else hits)
    return Descriptor(
        entries=tuple((entry.key, entry.value) for entry in message.entries),
        hits=hits,
        override=_override(message.limit) if message.HasField("limit") else None,
    )


def _override(message: Any) -> Override:
    unit = _UNITS.get(message.unit)
    if unit is None:
        raise RefusedError("a limit that a request carries has a unit", status=400)
    return Override(requests=message.requests_per_unit, unit=unit)


def _tell(told: Any, status: Status) -> None:
    told.limit_remaining = status.remaining
    rule = status.limit
    if rule is None or rule.unit is None:
        return
    limit = told.current_limit
    limit.requests_per_unit, limit.unit, limit.name = rule.requests, _NUMBERS[rule.unit], rule.name
    told.duration_until_reset.seconds = status.reset_s or 0


def _headers(least: Status, prefix: str) -> Sequence[tuple[str, str]]:
    rule = least.limit or Rule(metric="")
    policy = Policy(name=rule.name, quota=rule.requests)
    reset_ns = (least.reset_s or 0) * _NS_PER_S
    state = State(name=rule.name, remaining=least.remaining, reset_ns=reset_ns)
    return old_headers(policy, state, prefix=prefix)


def _metadata(asked: Any, statuses: Sequence[Status], telling: Telling) -> dict[str, object]:
    """What was asked, and which descriptors in quota mode are over, by their number."""
    in_quota = [
        status.limit is not None and (telling.all_quota or status.limit.quota)
        for status in statuses
    ]
    violated = [
        number
        for number, (status, quota) in enumerate(zip(statuses, in_quota, strict=True))
        if quota and status.over
    ]
    told: dict[str, object] = {
        "domain": asked.domain,
        "descriptors": [_described(each) for each in asked.descriptors],
        "quotaModeEnabled": any(each.limit is not None and each.limit.quota for each in statuses),
    }
    if asked.hits_addend:
        told["hitsAddend"] = asked.hits_addend
    if violated:
        told["quotaModeViolations"] = violated
    return told


def _open(
    descriptors: Sequence[Descriptor], statuses: Sequence[Status], telling: Telling
) -> dict[str, object]:
    """What the files say of descriptors that are open, and the models among them."""
    numbers, in_quota = open_ones(descriptors, statuses, all_quota=telling.all_quota)
    told: dict[str, object] = {}
    limits = [statuses[number].limit for number in numbers]
    metadata = together([limit.metadata for limit in limits if limit is not None])
    if metadata:
        told["metadata"] = metadata
    backends = backends_of([descriptors[number] for number in numbers]) if in_quota else []
    if backends:
        told["passedBackends"] = backends
    return told


def _described(message: Any) -> dict[str, object]:
    told: dict[str, object] = {"entries": [f"{each.key}={each.value}" for each in message.entries]}
    if message.HasField("limit"):
        unit = _UNITS.get(message.limit.unit)
        requests = message.limit.requests_per_unit
        said = [f"requests_per_unit:{requests}"] if requests else []
        told["limit"] = " ".join([*said, f"unit:{unit.name}" if unit else ""])
    if message.HasField("hits_addend"):
        told["hitsAddend"] = message.hits_addend.value
    return told


def _code(over: bool) -> Any:  # noqa: FBT001  a finding, not a flag
    return _RLS.OVER_LIMIT if over else _RLS.OK
