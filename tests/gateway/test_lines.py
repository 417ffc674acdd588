"""Any line of the request log gives an event that every reader can read, or is said to be none."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event
from midstage.contracts.requests import Outcome, RequestCompleted
from midstage.contracts.topics import REQUESTS
from midstage.eventlog.codec import Decoder, encode, message
from midstage.eventlog.log import Partition, Record
from midstage.gateway.decide.endings import ending
from midstage.gateway.decide.lines import LONGEST_LINE, completed, parsed
from midstage.gateway.views.requestlog import FIELDS

SOURCE = "edges/edge-1/20260101T000000.000000Z-abcdef"
PLAIN = {
    "id": "3f1c",
    "time": "1767225600.250000",
    "started": "1767225600.000000",
    "app": "chat",
    "path": "/chat/v1/x",
    "prefix": "/chat",
    "customer": "acme",
    "status": 200,
    "flags": "-",
    "details": "via_upstream",
    "duration": 250,
    "bytes_in": 10,
    "bytes_out": 20,
}

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
moments = st.from_regex(r"[0-9]{1,12}\.[0-9]{6}", fullmatch=True)
plausible = st.fixed_dictionaries(
    {"time": moments, "started": moments},
    optional={
        **{name: scalars for name in FIELDS if name not in ("time", "started")},
        "status": st.integers(-1, 1000) | st.none(),
        "flags": st.text(st.sampled_from("UCDFTRSHX,-")) | st.none(),
        "first": st.from_regex(r"[0-9]{1,20}", fullmatch=True) | st.none(),
        "events": st.integers(-(10**20), 10**20) | st.floats(allow_nan=False),
        "usage": st.text() | st.dictionaries(st.text(), scalars).map(json.dumps),
        "usage_header": st.none() | st.dictionaries(st.text(), scalars).map(json.dumps),
    },
)


def event_of(**said: object) -> Event[RequestCompleted]:
    return completed(parsed(json.dumps({**PLAIN, **said}).encode()), source=SOURCE, number=7)


def read(event: Event[RequestCompleted]) -> object:
    sent = message(event, topic="t", key=event.source)
    place = Partition(topic="t", number=0)
    record = Record(partition=place, offset=0, key=sent.key, value=sent.value, headers=sent.headers)
    return Decoder(REQUESTS)(record)


@given(line=st.binary() | values.map(lambda value: json.dumps(value).encode()))
def test_anything_is_an_event_or_unreadable(line: bytes) -> None:
    try:
        event = completed(parsed(line), source=SOURCE, number=1)
    except UnreadableError:
        return
    assert read(event) == event


@given(said=plausible)
def test_whatever_envoy_may_say_every_reader_can_read(said: dict[str, object]) -> None:
    try:
        event = completed(parsed(json.dumps(said).encode()), source=SOURCE, number=1)
    except UnreadableError:
        return
    assert read(event) == event


@given(said=plausible)
def test_the_same_line_has_the_same_bytes(said: dict[str, object]) -> None:
    line = json.dumps(said).encode()
    try:
        first = encode(completed(parsed(line), source=SOURCE, number=1))
    except UnreadableError:
        return
    assert encode(completed(parsed(line), source=SOURCE, number=1)) == first


def test_a_plain_line() -> None:
    event = event_of()

    assert (event.id, event.source, event.seq) == ("3f1c", SOURCE, 7)
    assert event.time == datetime(2026, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)
    assert event.data == RequestCompleted(
        app="chat",
        customer="acme",
        status=200,
        outcome=Outcome.OK,
        duration_ms=250.0,
        endpoint="/v1/x",
        bytes_in=10,
        bytes_out=20,
        usage={"requests": 1},
    )


def test_without_an_id_of_envoy_s_the_place_is_the_id() -> None:
    assert event_of(id=None).id == f"{SOURCE}/7"


def test_a_line_that_is_too_long_is_unreadable() -> None:
    with pytest.raises(UnreadableError, match="longer"):
        parsed(b" " * LONGEST_LINE + json.dumps(PLAIN).encode())


@pytest.mark.parametrize(
    ("status", "flags", "details", "outcome"),
    [
        (200, "-", "via_upstream", Outcome.OK),
        (101, "-", "via_upstream", Outcome.OK),
        (200, "DC", "downstream_remote_disconnect", Outcome.CANCELLED),
        (0, "DC", "downstream_remote_disconnect", Outcome.CANCELLED),
        (200, "DR", "downstream_remote_reset", Outcome.CANCELLED),
        (504, "DC,UT", "upstream_response_timeout", Outcome.CANCELLED),
        (200, "DPE", "http1.codec_error", Outcome.CANCELLED),
        (400, "DPE", "http1.codec_error", Outcome.INVALID),
        (200, "UC", "upstream_reset_after_response_started", Outcome.ERROR),
        (200, "UR", "upstream_reset_after_response_started", Outcome.ERROR),
        (200, "UT", "response_timeout", Outcome.ERROR),
        (200, "SI", "stream_idle_timeout", Outcome.ERROR),
        (200, "UPE", "upstream_reset_after_response_started", Outcome.ERROR),
        (408, "SI", "stream_idle_timeout", Outcome.INVALID),
        (503, "UH", "no_healthy_upstream", Outcome.ERROR),
        (503, "UF,URX", "upstream_reset_before_response_started", Outcome.ERROR),
        (503, "RLSE", "rate_limiter_error", Outcome.ERROR),
        (0, "-", "", Outcome.ERROR),
        (404, "-", "direct_response", Outcome.INVALID),
        (413, "-", "request_payload_too_large", Outcome.INVALID),
        (401, "-", "unknown_api_key", Outcome.REFUSED),
        (429, "RL", "request_rate_limited", Outcome.REFUSED),
        (401, "-", "via_upstream", Outcome.INVALID),
        (429, "-", "via_upstream", Outcome.INVALID),
        (502, "-", "via_upstream", Outcome.ERROR),
        (200, "NEW", "via_upstream", Outcome.OK),
    ],
)
def test_the_end_that_the_flags_tell(
    status: int, flags: str, details: str, outcome: Outcome
) -> None:
    assert event_of(status=status, flags=flags, details=details).data.outcome is outcome


def test_only_what_is_complete_is_no_estimate() -> None:
    said = {"usage": '{"prompt_tokens": 2, "completion_tokens": 3}'}

    whole = event_of(**said).data
    cut = event_of(**said, flags="DC").data
    broken = event_of(**said, flags="UC").data

    tokens = {"input_tokens": 2, "output_tokens": 3}
    assert (whole.usage, whole.estimated) == ({"requests": 1, **tokens}, False)
    assert (cut.usage, cut.estimated) == ({"requests": 1, **tokens}, True)
    assert (broken.usage, broken.estimated) == (tokens, True)


def test_the_usage_of_the_responses_api_is_read_too() -> None:
    said = '{"input_tokens": 5, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 4}}'

    assert event_of(usage=said).data.usage == {
        "requests": 1,
        "input_tokens": 5,
        "output_tokens": 1,
        "cached_input_tokens": 4,
    }


def test_time_to_first_token_only_where_clocks_agree() -> None:
    begun = 1_767_225_600_000_000
    assert event_of(first=str(begun + 40_000)).data.ttft_ms == 40.0
    assert event_of(first=str(begun - 1)).data.ttft_ms is None
    assert event_of(first=str(begun + 900_000)).data.ttft_ms is None
    assert event_of(body_us=3_000).data.ttft_ms is None
    assert event_of(body_us=3_000, type="text/event-stream").data.ttft_ms == 3.0


def test_every_flag_alone_has_one_end() -> None:
    flags = "LH UH UT LR UR UF UC UO NR DI FI RL UAEX RLSE IH SI DC DPE UPE UMSDR RFCF NFCF DT"
    for flag in [*flags.split(), "URX", "OM", "DF", "DO", "NC", "DR", "-", ""]:
        end = ending(status=200, flags=flag, details="via_upstream")
        assert not (end.broke_off and end.caller_left), flag
