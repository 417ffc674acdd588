"""An evaluation in words: inputs with their ages, each rule's figure, each stage, the result."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import UNSET

from midstage.client.show import table
from midstage.contracts.manual import Order
from midstage.contracts.scaling import Evaluation, EvaluationMade, Inputs, PodInput, Proposal, Stage


def text(made: EvaluationMade) -> str:
    """Some paragraphs of plain text, each a title and a small table or sentence."""
    evaluation = made.evaluation
    return "\n\n".join(
        [
            "\n".join(_headline(made)),
            f"Inputs\n{_indented(table(_inputs(evaluation.inputs), ('input', 'value', 'age')))}",
            f"Rules\n{_indented(_rules(evaluation.proposals))}",
            f"Steps\n{_indented(table(_steps(evaluation.stages), ('step', 'replicas', 'why')))}",
            "\n".join(_folded(evaluation)),
        ]
    )


def _headline(made: EvaluationMade) -> Iterator[str]:
    evaluation = made.evaluation
    current = evaluation.inputs.current
    was = f"was {current}" if current else "the first count"
    outcome = "unchanged" if evaluation.replicas == current else was
    yield (
        f"{made.app} at {_time(evaluation.inputs.now)}: {evaluation.replicas} replicas ({outcome})"
    )
    yield f"because {evaluation.reason}" if evaluation.reason else "nothing asks for a change"


def _inputs(inputs: Inputs) -> Sequence[dict[str, object]]:
    load, policy = inputs.load, inputs.policy
    ready = [pod for pod in inputs.pods if pod.ready]
    return [
        _input("count in force", inputs.current or None, None),
        _input("bounds", f"{policy.min} to {policy.max}", None),
        _input(
            f"requests/s, mean of {load.seconds} s",
            _figure(load.requests_per_s),
            _age(inputs, load.until),
        ),
        _input(
            f"in flight and pending, mean of {load.gauged_seconds} s",
            _figure(load.concurrency),
            _age(inputs, load.gauged_until),
        ),
        _input(
            "pods ready, starting",
            f"{len(ready)}, {len(inputs.pods) - len(ready)}",
            _age(inputs, inputs.cluster_at),
        ),
        _input("cores used by the ready ones", _cores(ready), _oldest(inputs, ready)),
        *(
            _input(f"signal {each.name}", _figure(each.value), _age(inputs, each.observed_at))
            for each in inputs.signals
        ),
        *_beside_cores(inputs, ready),
        *_by_knative(inputs),
        *_by_clock(inputs),
        *_by_forecast(inputs),
        *_ordered(inputs),
        *(_input("earlier want", want.replicas, _age(inputs, want.at)) for want in inputs.wants),
        *(
            _input("earlier change", f"{each.before} to {each.after}", _age(inputs, each.at))
            for each in inputs.changes
        ),
    ]


def _beside_cores(inputs: Inputs, ready: Sequence[PodInput]) -> Iterator[dict[str, object]]:
    """Memory and GPUs of the ready ones, where they are measured."""
    memory = [pod.memory_mb for pod in ready if pod.memory_mb is not None]
    if memory:
        requested = sum(pod.memory_requested_mb for pod in ready)
        value = f"{_figure(sum(memory))} of {requested} MiB requested, {len(memory)} measured"
        yield _input("memory used by the ready ones", value, _oldest(inputs, ready))
    gpus = [pod.gpu for pod in ready if pod.gpu is not None]
    if gpus:
        value = f"{_figure(sum(gpus) / len(gpus) * 100)} % of the time, {len(gpus)} measured"
        yield _input("GPUs used by the ready ones", value, _oldest(inputs, ready))
    held = [pod.gpu_memory_mb for pod in ready if pod.gpu_memory_mb is not UNSET]
    if held:
        totals = [pod.gpu_memory_total_mb for pod in ready if pod.gpu_memory_total_mb is not UNSET]
        value = f"{_figure(sum(held))} of {_figure(sum(totals))} MiB, {len(held)} measured"
        yield _input("GPU memory used by the ready ones", value, _oldest(inputs, ready))


def _by_knative(inputs: Inputs) -> Iterator[dict[str, object]]:
    """The two windows of Knative's rule and what it remembers; nothing where there is none."""
    seen = inputs.knative
    if seen is None:
        return
    age = _age(inputs, seen.until)
    yield _input("Knative's stable window", _figure(seen.stable), age)
    yield _input("Knative's panic window", _figure(seen.panic), age)
    if seen.memory is not None and seen.memory.panic_since is not None:
        since = _age(inputs, seen.memory.panic_since)
        yield _input("Knative panics, most wanted", seen.memory.most, since)


def _by_clock(inputs: Inputs) -> Sequence[dict[str, object]]:
    """What bounds by the clock and of the past go by; nothing where there are none."""
    if not inputs.policy.timed and inputs.policy.forecast is None:
        return []
    took = inputs.cold_start_s
    return [_input("cold start", None if took is None else f"{took:g} s", None)]


def _by_forecast(inputs: Inputs) -> Iterator[dict[str, object]]:
    """What the past says, and how its test ended; nothing where there is no forecast."""
    said, found = inputs.policy.forecast, inputs.forecast
    if said is None:
        return
    name = f"expected by the {said.season.value}"
    if found is None:
        yield _input(name, None, None)
        return
    yield _input(name, _figure(found.carried), _age(inputs, found.until))
    days = _figure(found.tested_s / 86_400)
    lost = f"{found.lost_with:.3%} of the load lost with it, {found.lost_without:.3%} without"
    yield _input(f"forecast tested on {days} days", found.off or lost, None)


def _ordered(inputs: Inputs) -> Iterator[dict[str, object]]:
    """What people ordered, and what the namespace has room for; nothing where nothing is."""
    override, pause, quota = inputs.override, inputs.pause, inputs.quota
    if override is not None:
        bounds = f"at least {override.min}, at most {override.max}".replace("None", "any")
        yield _input("override", f"{bounds}, {_by(override)}", _age(inputs, override.at))
    if pause is not None:
        yield _input("pause", f"{pause.direction.value}, {_by(pause)}", _age(inputs, pause.at))
    if quota is not None:
        yield _input("quota", f"{quota.replicas}, {quota.reason}", _age(inputs, quota.observed_at))


def _by(order: Order) -> str:
    why = f" ({order.why})" if order.why else ""
    return f"by {order.by} until {_time(order.until)}{why}"


def _input(name: str, value: object, age: str | None) -> dict[str, object]:
    return {"input": name, "value": "unknown" if value is None else str(value), "age": age}


def _rules(proposals: Sequence[Proposal]) -> str:
    rows: list[dict[str, object]] = [
        {
            "rule": " ".join(filter(None, (each.rule.value, each.name))),
            "carried": _figure(each.carried),
            "target": _figure(each.target),
            "exact": _figure(each.exact),
            "wants": each.want,
            "why": each.reason,
        }
        for each in proposals
    ]
    columns = ("rule", "carried", "target", "exact", "wants", "why")
    return table(rows, columns) or "the policy has no target"


def _steps(stages: Sequence[Stage]) -> Sequence[dict[str, object]]:
    return [
        {"step": stage.name, "replicas": stage.replicas, "why": _why(stage)} for stage in stages
    ]


def _why(stage: Stage) -> str | None:
    said = f" ({stage.condition})" if stage.condition else ""
    return f"{stage.reason}{said}".strip() or None


def _folded(evaluation: Evaluation) -> Iterator[str]:
    inputs = evaluation.inputs
    yield f"Decided by {evaluation.engine or 'an unnamed engine'}, from"
    yield f"  spec version {inputs.spec_version}, scale version {inputs.scale_version}"
    for topic, offsets in _by_topic(evaluation.offsets).items():
        yield f"  {topic} up to {' '.join(offsets)}"


def _by_topic(offsets: dict[str, int]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, offset in offsets.items():
        topic, _, partition = name.rpartition("/")
        found.setdefault(topic, []).append(f"{partition}:{offset}")
    return found


def _cores(ready: Sequence[PodInput]) -> str | None:
    known = [pod.cpu for pod in ready if pod.cpu is not None]
    if not known:
        return None
    requested = sum(pod.cpu_requested for pod in ready)
    return f"{_figure(sum(known))} of {_figure(requested)} requested, {len(known)} measured"


def _oldest(inputs: Inputs, ready: Sequence[PodInput]) -> str | None:
    times = [pod.cpu_at for pod in ready if pod.cpu_at is not None]
    return _age(inputs, min(times)) if times else None


def _age(inputs: Inputs, at: datetime | None) -> str | None:
    return None if at is None else f"{max(0.0, (inputs.now - at).total_seconds()):.1f} s"


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _indented(lines: str) -> str:
    return "\n".join(f"  {line}" for line in lines.splitlines())
