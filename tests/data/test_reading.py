"""No record can stop data: what it keeps comes back as it was, what it can't keep is refused."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event
from midstage.contracts.metered import METERED, Metered
from midstage.contracts.requests import Outcome, RequestCompleted
from midstage.contracts.topics import REQUESTS
from midstage.contracts.units import LARGEST
from midstage.data.adapters.duckdb import DuckdbStore
from midstage.data.decide import decide, named
from midstage.data.model import Arrived
from midstage.data.stream.reading import LARGEST_BYTES, LARGEST_MS, Reading
from midstage.data.views.records import Filters, RecordsQuery
from midstage.eventlog import arrow
from midstage.eventlog.codec import encode
from midstage.eventlog.log import Partition, Record
from midstage.testkit.clock import NOON

from .conftest import KEY, request

PLACE = Partition(topic=REQUESTS.name, number=0)
DAY = timedelta(days=1)
STRUCTURED = (("content-type", b"application/cloudevents+json"),)
read = Reading(requests=REQUESTS, keys=lambda: {"edge-1": KEY}, now=lambda: NOON)

names = st.text(min_size=1, max_size=256)
milliseconds = st.floats(min_value=0, max_value=LARGEST_MS)
sizes = st.integers(0, LARGEST_BYTES)
units = st.integers(0, LARGEST) | st.integers(0, 10**12).map(lambda n: n / 1_000_000)
facts = st.builds(
    RequestCompleted,
    app=names,
    customer=names,
    status=st.integers(0, 999),
    outcome=st.sampled_from(Outcome),
    duration_ms=milliseconds,
    endpoint=st.text(max_size=1024),
    revision=st.text(),
    queue_ms=st.none() | milliseconds,
    ttft_ms=st.none() | milliseconds,
    bytes_in=sizes,
    bytes_out=sizes,
    usage=st.dictionaries(st.text(min_size=1, max_size=64), units, max_size=8),
    estimated=st.booleans(),
    labels=st.dictionaries(st.text(), st.text(), max_size=8),
    ref=st.text(max_size=256),
    cluster=st.text(),
    pod=st.text(),
    trace_id=st.text(),
)


def record(value: bytes) -> Record:
    return Record(partition=PLACE, offset=0, key=None, value=value, headers=STRUCTURED)


def only(value: bytes) -> Arrived:
    (arrived,) = read(record(value))
    return arrived


def test_metered_work_is_no_request_and_no_dead_letter() -> None:
    units = {"seats": 25.0}
    work = Event(
        id="1", source="s", type=METERED, time=NOON, data=Metered(customer="acme", units=units)
    )
    assert read(record(encode(work))) == ()
    assert read(batch([work])) == []
    units["seats"] = 1e-7
    with pytest.raises(UnreadableError, match="six decimals"):
        read(record(encode(work)))


def test_a_batch_is_read_as_its_events_are_one_by_one() -> None:
    made = [request("jobs", None, event_id=str(n), ref=f"r-{n}") for n in range(3)]
    assert list(read(batch(made))) == [only(encode(event)) for event in made]


def test_a_batch_is_a_dead_letter_as_a_whole() -> None:
    made = [request("edges/edge-1/a", n) for n in (1, 2)]
    assert len(read(batch(made, key=KEY))) == 2
    with pytest.raises(UnreadableError, match="signature"):
        read(batch(made))
    late = [*made, request("edges/edge-1/a", 3, time=NOON + 2 * DAY)]
    with pytest.raises(UnreadableError, match="event 2: time"):
        read(batch(late, key=KEY))


def batch(
    events: Sequence[Event[RequestCompleted]] | Sequence[Event[Metered]], key: bytes | None = None
) -> Record:
    sent = arrow.batch(events, topic=REQUESTS.name, signing_key=key)
    return Record(partition=PLACE, offset=0, key=sent.key, value=sent.value, headers=sent.headers)


@given(st.binary() | st.text().map(str.encode))
@example(b'{"specversion":"1.0","id":"\\ud800","source":"s","type":"t","time":"x","data":{}}')
def test_bytes_that_are_no_event_are_refused_and_nothing_else(value: bytes) -> None:
    with pytest.raises(UnreadableError):
        read(record(value))


@given(st.binary(max_size=8), st.integers(0, 400))
def test_an_event_that_was_changed_on_its_way_is_refused_or_read(noise: bytes, at: int) -> None:
    value = encode(request("jobs", None, event_id="x"))
    with suppress(UnreadableError):
        read(record(value[:at] + noise + value[at + len(noise) :]))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckdbStore]:
    store = DuckdbStore(tmp_path_factory.mktemp("store"), now=lambda: NOON)
    yield store
    store.close()


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(fact=facts, event_id=names, source=names, time=st.timedeltas(-DAY, DAY))
def test_every_event_that_is_read_comes_back_as_it_was(
    store: DuckdbStore, fact: RequestCompleted, event_id: str, source: str, time: timedelta
) -> None:
    told = Arrived(
        source=source,
        id=event_id,
        seq=None,
        time=NOON + time,
        fact=fact,
        micros=only(encode(request("j", None, event_id="x", usage=fact.usage))).micros,
        partition=0,
        offset=7,
    )
    batch = decide(store.known(*named([told])), [told], oldest=NOON - 2 * DAY)
    begin = store.positions().get(PLACE, 0)
    store.commit(batch, begins={PLACE: begin}, ends={PLACE: begin + 1}, oldest=NOON - 2 * DAY)
    wanted = Filters(
        app=fact.app, customer=fact.customer, since=told.time, ref=fact.ref, pod=fact.pod
    )
    page = store.queries().page(RecordsQuery(filters=wanted, limit=1000))
    if not batch.rows:
        return
    (back,) = [one for one in page if (one.source, one.id) == (source, event_id)]
    assert (back.time, back.seq, back.offset) == (told.time, None, 7)
    for name in RequestCompleted.__struct_fields__:
        assert getattr(back, name) == getattr(fact, name), name
