"""Shards' parts add up to what one shard would say; pages are of one moment."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts import sketch
from midstage.contracts.errors import RefusedError
from midstage.stats.views.usage import cursor, parts
from midstage.stats.views.usage.answer import columns, ordered, shown
from midstage.stats.views.usage.asking import from_parameters
from midstage.stats.views.usage.parts import HASH_BYTES, Group, Part, Standing, merged
from midstage.stats.views.usage.question import Question, Timing

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECRET = b"of the test"
Call = tuple[str, str, str, int, float]
calls = st.tuples(
    st.sampled_from(["acme", "globex"]),
    st.sampled_from(["chat", "ocr"]),
    st.sampled_from(["ok", "error"]),
    st.integers(0, 10**18),
    st.floats(0, 1e6),
)


def question(*given: tuple[str, str]) -> Question:
    return from_parameters(given, now=NOON).question


BY_APP = question(
    ("group_by", "app"),
    ("measures", "requests,outcomes,units,bytes_in,bytes_out,customers,latency_ms.p99"),
)


def part(shard: int, of: Sequence[Call], *, at: datetime | None = NOON) -> Part:
    """What a shard that holds these calls says, grouped by application."""
    found = []
    for app in {call[1] for call in of}:
        mine = [call for call in of if call[1] == app]
        found.append(
            Group(
                key=(app,),
                outcomes={
                    outcome: sum(1 for call in mine if call[2] == outcome)
                    for outcome in {call[2] for call in mine}
                },
                micros={"input_tokens": sum(call[3] for call in mine)},
                bytes_in=len(mine),
                bytes_out=2 * len(mine),
                **told_apart({call[0] for call in mine}),
                sketches={Timing.LATENCY: sketch.sketch([call[4] for call in mine])},
            )
        )
    standing = Standing(
        versions={shard: shard + 5}, positions={f"requests/{shard}": 9}, complete_until=at
    )
    return Part(standing=standing, groups=tuple(found))


class ToldApart(TypedDict):
    """A group's customers."""

    customers: int
    told_apart: bytes


def told_apart(names: Collection[str]) -> ToldApart:
    hashes = [hashlib.sha256(name.encode()).digest()[:HASH_BYTES] for name in names]
    return {"customers": len(hashes), "told_apart": b"".join(hashes)}


def said(*of: Part) -> list[dict[str, object]]:
    return shown(BY_APP, ordered(BY_APP, merged(of).groups))


@given(st.lists(st.tuples(calls, st.integers(0, 2)), max_size=30))
def test_any_split_over_shards_says_what_one_shard_says(placed: list[tuple[Call, int]]) -> None:
    whole = part(0, [call for call, _ in placed])
    split = [part(shard, [call for call, at in placed if at == shard]) for shard in range(3)]
    assert said(*split) == said(*reversed(split)) == said(whole)
    over_http = [msgspec.json.decode(msgspec.json.encode(one), type=Part) for one in split]
    assert said(*over_http) == said(whole)


@given(st.lists(st.frozensets(st.text(max_size=3), max_size=8), min_size=1, max_size=4))
def test_customers_of_several_shards_are_each_counted_once(of: list[frozenset[str]]) -> None:
    standing = Standing(versions={}, positions={}, complete_until=None)
    groups = [Group(key=(), **told_apart(names)) for names in of]
    shards = [Part(standing=standing, groups=(group,)) for group in groups]
    (group,) = merged([merged(shards[:2]), *shards[2:]]).groups
    assert group.customers == len(frozenset[str]().union(*of))


def test_an_answer_rests_on_all_shards_and_is_complete_until_the_least_of_them() -> None:
    late, early = part(0, []), part(1, [], at=NOON - timedelta(hours=1))
    standing = merged([late, early]).standing
    assert standing.versions == {0: 5, 1: 6}
    assert standing.positions == {"requests/0": 9, "requests/1": 9}
    assert standing.complete_until == NOON - timedelta(hours=1)
    assert merged([late, part(1, [], at=None)]).standing.complete_until is None


def test_too_many_groups_are_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_GROUPS", 1)
    one, two = part(0, [("acme", "chat", "ok", 1, 1.0)]), part(1, [("acme", "ocr", "ok", 1, 1.0)])
    assert merged([one]).groups
    with pytest.raises(RefusedError, match="narrow it") as refused:
        merged([one, two])
    assert refused.value.status == 400


def test_groups_come_in_the_order_that_was_asked_for() -> None:
    asked = question(("group_by", "app,label.team"), ("order", "-units.images,app"))
    keys: list[tuple[str, str | None]] = [("b", "x"), ("a", None), ("a", "y"), ("c", "z")]
    images = [2, 5, None, 2]
    groups = [
        Group(key=key, micros={} if count is None else {"images": count})
        for key, count in zip(keys, images, strict=True)
    ]
    in_order = [("a", None), ("b", "x"), ("c", "z"), ("a", "y")]
    assert [group.key for group in ordered(asked, groups)] == in_order
    by_key = question(("group_by", "app,label.team"))
    assert [group.key for group in ordered(by_key, groups)] == [
        *(("a", None), ("a", "y"), ("b", "x"), ("c", "z")),
    ]


def test_a_counted_zero_is_zero_and_what_was_not_counted_is_not_there() -> None:
    asked = question(("group_by", "app"), ("measures", "units,units.images"))
    groups = [Group(key=("a",), micros={"cached_input_tokens": 0}), Group(key=("b",))]
    assert [row["units"] for row in shown(asked, groups)] == [{"cached_input_tokens": 0}, {}]
    assert {column.name: list(column.values) for column in columns(asked, groups)} == {
        "app": ["a", "b"],
        "units.cached_input_tokens": [0, None],
        "units.images": [None, None],
    }


def test_names_stand_in_the_order_asked_and_all_of_them_in_their_own() -> None:
    asked = question(("measures", "units.b,requests,outcomes.cancelled,units,outcomes"))
    group = Group(
        key=(), outcomes={"ok": 2, "error": 1}, micros={"b": 1_500_000, "a": 0, "c": 2_000_000}
    )
    (row,) = shown(asked, [group])
    assert msgspec.json.encode(row) == (
        b'{"units":{"b":1.5,"a":0,"c":2},"micros":{"b":1500000,"a":0,"c":2000000},"requests":3,'
        b'"outcomes":{"cancelled":0,"error":1,"ok":2}}'
    )


def place(of: Question, *, shown: int = 7) -> str:
    standing = Standing(versions={0: 3}, positions={"requests/0": 9}, complete_until=NOON)
    return cursor.sealed(cursor.of(of, shown=shown, standing=standing), secret=SECRET)


def test_a_cursor_is_read_as_it_was_written() -> None:
    begin = cursor.opened(place(BY_APP), question=BY_APP, secret=SECRET)
    assert (begin.shown, begin.standing.versions) == (7, {0: 3})
    assert begin.standing.complete_until == NOON


@given(st.data())
def test_a_cursor_that_was_changed_anywhere_is_refused(data: st.DataObject) -> None:
    word = place(BY_APP)
    at = data.draw(st.integers(0, len(word) - 2))  # the last letter holds bits that say nothing
    sign = data.draw(st.characters(max_codepoint=1000).filter(lambda sign: sign != word[at]))
    with pytest.raises(RefusedError) as refused:
        cursor.opened(word[:at] + sign + word[at + 1 :], question=BY_APP, secret=SECRET)
    assert refused.value.status == 400


@pytest.mark.parametrize("word", ["", "x", "=", "a" * 20_000, "é", "AAAA", place(BY_APP)[:-9]])
def test_what_no_answer_gave_is_no_cursor(word: str) -> None:
    with pytest.raises(RefusedError, match="after: it is not what an answer gave"):
        cursor.opened(word, question=BY_APP, secret=SECRET)


def test_a_cursor_belongs_to_its_question_and_its_platform() -> None:
    with pytest.raises(RefusedError, match="of another question"):
        cursor.opened(place(BY_APP), question=question(("group_by", "app")), secret=SECRET)
    with pytest.raises(RefusedError, match="not what an answer gave"):
        cursor.opened(place(BY_APP), question=BY_APP, secret=b"another")
