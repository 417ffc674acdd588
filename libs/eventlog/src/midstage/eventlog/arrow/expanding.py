"""A batch's columns as single events, for readers that take them one by one."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from midstage.contracts.fact import Event
from midstage.contracts.metered import METERED, Metered
from midstage.contracts.requests import Outcome, RequestCompleted
from midstage.contracts.units import units
from midstage.eventlog.arrow.columns import Columns

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def events(columns: Columns) -> Iterator[Event[RequestCompleted | Metered]]:
    """The events of a batch, in its order; each equals the one that was written."""
    facts: Iterator[RequestCompleted | Metered] = (
        _metered(columns) if columns.type == METERED else _requests(columns)
    )
    for at, (event_id, fact) in enumerate(zip(columns.ids.texts(), facts, strict=True)):
        event: Event[RequestCompleted | Metered] = Event(
            id=event_id,
            source=columns.source,
            type=columns.type,
            time=_EPOCH + timedelta(microseconds=columns.time[at]),
            seq=columns.seq[at] or None,
            data=fact,
        )
        yield event


def _requests(of: Columns) -> Iterator[RequestCompleted]:
    usage, labels = of.usage.each(), of.labels.each()
    texts = zip(
        *(each.texts() for each in (of.app, of.customer, of.outcome, of.endpoint, of.revision)),
        *(each.texts() for each in (of.cluster, of.pod)),
        of.refs.texts(),
        of.trace_ids.texts(),
        strict=True,
    )
    for at, (app, customer, outcome, endpoint, revision, cluster, pod, ref, trace_id) in enumerate(
        texts
    ):
        yield RequestCompleted(
            app=app,
            customer=customer,
            status=of.status[at],
            outcome=Outcome(outcome),
            duration_ms=of.duration_ms[at],
            endpoint=endpoint,
            revision=revision,
            queue_ms=_known(of.queue_ms[at]),
            ttft_ms=_known(of.ttft_ms[at]),
            bytes_in=of.bytes_in[at],
            bytes_out=of.bytes_out[at],
            usage={name: units(amount) for name, amount in usage[at].items()},
            estimated=bool(of.estimated[at]),
            labels=labels[at],
            ref=ref,
            cluster=cluster,
            pod=pod,
            trace_id=trace_id,
        )


def _metered(of: Columns) -> Iterator[Metered]:
    used, labels = of.usage.each(), of.labels.each()
    texts = zip(of.app.texts(), of.customer.texts(), of.refs.texts(), strict=True)
    for at, (app, customer, ref) in enumerate(texts):
        yield Metered(
            customer=customer,
            units={name: units(amount) for name, amount in used[at].items()},
            labels=labels[at],
            app=app,
            ref=ref,
        )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
