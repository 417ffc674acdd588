"""Requests as columns: one array a field, so that a chunk is counted as a whole.

Row *i* of every column is the same event. What is not there is NaN in a column of times and 0 in
``seq``; times are microseconds since 1970 (UTC).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from midstage.stats.model.words import (
    Amounts,
    Doubles,
    Flags,
    Ints,
    Labels,
    Longs,
    Texts,
    Words,
)

REQUEST = "request"
METERED = "metered"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Requests and metered work that may count.

    ``usage`` is as observed; ``billed`` says whether it enters usage. ``outcome`` is empty where
    ``kind`` is ``metered``. ``seq`` is 0 where the source does not number its events.
    """

    kind: Words
    source: Words
    seq: Longs
    id: Texts
    time: Longs
    customer: Words
    app: Words
    endpoint: Words
    revision: Words
    status: Ints
    outcome: Words
    duration_ms: Doubles
    queue_ms: Doubles
    ttft_ms: Doubles
    bytes_in: Longs
    bytes_out: Longs
    usage: Amounts
    billed: Flags
    estimated: Flags
    labels: Labels
    ref: Texts
    cluster: Words
    pod: Words
    trace_id: Texts

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.seq)

    def taken(self, flags: Flags) -> "Rows":
        """The rows whose flag is set, in the same order."""
        if bool(flags.all()):
            return self
        at = np.flatnonzero(flags)
        return Rows(
            kind=self.kind.taken(at),
            source=self.source.taken(at),
            seq=self.seq[at],
            id=self.id.taken(at),
            time=self.time[at],
            customer=self.customer.taken(at),
            app=self.app.taken(at),
            endpoint=self.endpoint.taken(at),
            revision=self.revision.taken(at),
            status=self.status[at],
            outcome=self.outcome.taken(at),
            duration_ms=self.duration_ms[at],
            queue_ms=self.queue_ms[at],
            ttft_ms=self.ttft_ms[at],
            bytes_in=self.bytes_in[at],
            bytes_out=self.bytes_out[at],
            usage=self.usage.taken(at),
            billed=self.billed[at],
            estimated=self.estimated[at],
            labels=self.labels.taken(at),
            ref=self.ref.taken(at),
            cluster=self.cluster.taken(at),
            pod=self.pod.taken(at),
            trace_id=self.trace_id.taken(at),
        )

    @staticmethod
    def joined(parts: Sequence["Rows"]) -> "Rows":
        """One after another."""
        if len(parts) == 1:
            return parts[0]
        begins = np.cumsum([0, *map(len, parts[:-1])]).tolist()
        return Rows(
            kind=Words.joined([part.kind for part in parts]),
            source=Words.joined([part.source for part in parts]),
            seq=np.concatenate([part.seq for part in parts]),
            id=Texts.joined([part.id for part in parts]),
            time=np.concatenate([part.time for part in parts]),
            customer=Words.joined([part.customer for part in parts]),
            app=Words.joined([part.app for part in parts]),
            endpoint=Words.joined([part.endpoint for part in parts]),
            revision=Words.joined([part.revision for part in parts]),
            status=np.concatenate([part.status for part in parts]),
            outcome=Words.joined([part.outcome for part in parts]),
            duration_ms=np.concatenate([part.duration_ms for part in parts]),
            queue_ms=np.concatenate([part.queue_ms for part in parts]),
            ttft_ms=np.concatenate([part.ttft_ms for part in parts]),
            bytes_in=np.concatenate([part.bytes_in for part in parts]),
            bytes_out=np.concatenate([part.bytes_out for part in parts]),
            usage=Amounts.joined([part.usage for part in parts], begins),
            billed=np.concatenate([part.billed for part in parts]),
            estimated=np.concatenate([part.estimated for part in parts]),
            labels=Labels.joined([part.labels for part in parts], begins),
            ref=Texts.joined([part.ref for part in parts]),
            cluster=Words.joined([part.cluster for part in parts]),
            pod=Words.joined([part.pod for part in parts]),
            trace_id=Texts.joined([part.trace_id for part in parts]),
        )
