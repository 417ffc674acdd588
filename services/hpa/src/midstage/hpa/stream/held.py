"""What a log holds of hpa's topics at one moment, in memory, for the replay.

The streams record by record; of the versioned logs the state at each version.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from midstage.contracts.peaks import of_key
from midstage.contracts.scaling import Evaluation
from midstage.contracts.topics import Topic
from midstage.eventlog.fold import Fold, Verdict
from midstage.eventlog.log import Log, Partition, Record
from midstage.eventlog.standing import standing
from midstage.hpa.decide.scaling import asked, evolve
from midstage.hpa.model import Asked, Scaler
from midstage.hpa.stream.folding import Topics
from midstage.hpa.stream.reading import (
    CLUSTER_BACK,
    EVALUATIONS_BACK,
    LOAD_BACK,
    PEAKS_BACK,
    SIGNALS_BACK,
)
from midstage.hpa.views.world import Standing

S = TypeVar("S")
F = TypeVar("F")
States = Mapping[tuple[str, int], S]
"""By key and version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Records by partition from ``oldest`` on, and the states of the versioned logs."""

    streams: Mapping[Partition, Sequence[Record]]
    oldest: Mapping[Partition, int]
    back: Mapping[str, timedelta]
    apps: States[Asked]
    scalers: States[Scaler]
    peaks: str

    def records(self, place: Partition, begin: int, end: int) -> Iterator[Record]:
        """Those with offsets from ``begin`` to before ``end``."""
        found = self.streams.get(place, ())
        first = _first(found, begin)
        for record in found[first:]:
            if record.offset >= end:
                return
            yield record

    def all_of(self, topic: str) -> Iterator[Record]:
        """All records of a topic, partition by partition."""
        for place, records in self.streams.items():
            if place.topic == topic:
                yield from records

    def standing(self, app: str, spec_version: int, scale_version: int) -> Standing | None:
        """The application at these versions; None where the logs don't say."""
        spec = self.apps.get((app, spec_version))
        scaler = self.scalers.get((app, scale_version)) if scale_version else Scaler()
        if spec is None or scaler is None:
            return None
        return Standing(
            asked=spec, spec_version=spec_version, scaler=scaler, scale_version=scale_version
        )

    def enough(self, evaluation: Evaluation, vector: Mapping[Partition, int]) -> bool:
        """Whether all is held that the evaluation could look back to."""
        for place in vector:
            if place.topic == self.peaks:
                if evaluation.inputs.policy.forecast is None:
                    continue
                if self._compacted(place, vector[place], evaluation):
                    return False
            if self.oldest.get(place, 0) == 0:
                continue
            records = self.streams.get(place, ())
            since = evaluation.inputs.now - self.back[place.topic]
            if not records or _written(records[0]) > since:
                return False
        return True

    def _compacted(self, place: Partition, end: int, evaluation: Evaluation) -> bool:
        """Whether what the evaluation knew of a day has made room for a record of later.

        Then no record of the day is before ``end``; where no offset is missing there was none.
        """
        inputs, records = evaluation.inputs, self.streams.get(place, ())
        if not records or records[-1].offset - self.oldest.get(place, 0) + 1 == len(records):
            return False
        first = _first(records, end)
        later = {record.key for record in records[first:]}
        later -= {record.key for record in records[:first]}
        days = (of_key((key or b"").decode(errors="replace")) for key in later)
        today = inputs.now.date().isoformat()
        return any(app == inputs.app and day <= today for app, day in days)


def held(log: Log, names: Topics) -> Held:
    """All that stands in the topics now; UnavailableError when the log can't be asked."""
    streams: dict[Partition, list[Record]] = {}
    oldest: dict[Partition, int] = {}
    # evaluations first: what they used was written before them, also while the platform goes on
    for topic in (names.evaluations, names.cluster, names.load, names.signals, names.peaks):
        places = log.partitions(topic.name)
        oldest |= log.beginnings(places)
        streams |= {place: [] for place in places}
        for record in standing(log, topic.name):
            streams[record.partition].append(record)
    return Held(
        streams=streams,
        oldest=oldest,
        back={
            names.load.name: LOAD_BACK,
            names.signals.name: SIGNALS_BACK,
            names.cluster.name: CLUSTER_BACK,
            names.evaluations.name: EVALUATIONS_BACK,
            names.peaks.name: PEAKS_BACK,
        },
        apps=_states(log, names.apps, Asked(), asked),
        scalers=_states(log, names.scaling, Scaler(), evolve),
        peaks=names.peaks.name,
    )


def _states(log: Log, topic: Topic, initial: S, fold: Callable[[S, F], S]) -> States[S]:
    states: dict[tuple[str, int], S] = {}
    versions: Fold[S, F] = Fold(topic=topic, initial=initial, evolve=fold)
    for record in standing(log, topic.name):
        if versions.apply(record).verdict is Verdict.ACCEPTED:
            key = (record.key or b"").decode()
            version, state = versions.state(key)
            states[key, version] = state
    return states


def _first(records: Sequence[Record], offset: int) -> int:
    return bisect_left(records, offset, key=lambda record: record.offset)


def _written(record: Record) -> datetime:
    return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
