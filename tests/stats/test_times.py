"""Times read in whole columns are those that are read one by one; nothing else is a time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from midstage.stats.stream.times import instants

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AWARE = Annotated[datetime, msgspec.Meta(tz=True)]
WRITTEN = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001  the strategy gives the zone
    max_value=datetime(9998, 1, 1),  # noqa: DTZ001  likewise
    timezones=st.timezones(),
).map(datetime.isoformat)
IN_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
NEARLY = st.from_regex(
    r"[0-9]{4}-[0-3][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{6})?Z",
    fullmatch=True,
)


def one_by_one(text: str) -> int | None:
    try:
        time = msgspec.convert(text, AWARE)
    except msgspec.ValidationError:
        return None
    return (time - EPOCH) // timedelta(microseconds=1)


@given(st.lists(WRITTEN | NEARLY, min_size=1, max_size=20))
@example(["2024-02-29T23:59:59.999999Z", "2023-02-29T00:00:00.000000Z"])
@example(["2026-12-31T23:59:59Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z"])
@example(["2026-01-01T24:00:00.000000Z", "2026-01-01T23:60:00.000000Z"])
@example(["2026-01-01T23:59:60.000000Z", "2026-01-01T25:00:00.000000Z"])
@example(["0000-01-01T00:00:00.000000Z", "1969-12-31T23:59:59.999999Z"])
def test_a_column_of_times_is_what_each_of_them_says(texts: list[str]) -> None:
    micros, sound = instants(texts)
    for text, at, fit in zip(texts, micros.tolist(), sound.tolist(), strict=True):
        if fit:
            assert at == one_by_one(text)
        elif IN_FORM.fullmatch(text):
            assert one_by_one(text) is None


@given(st.text(max_size=40))
def test_what_is_no_time_is_none_and_spoils_no_other(noise: str) -> None:
    micros, sound = instants(["2026-01-01T00:00:00.000001Z", noise])
    if noise.isascii():
        assert sound.tolist()[0]
        assert micros.tolist()[0] == one_by_one("2026-01-01T00:00:00.000001Z")
    assert not sound.tolist()[1] or micros.tolist()[1] == one_by_one(noise)
