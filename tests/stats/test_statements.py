"""The bytes of a statement are these, in whatever order its parts come; its table says the same."""

from dataclasses import replace
from datetime import timedelta

from midstage.contracts.billing import Line, OpenGap, Position, Seal
from midstage.stats.decide.billing import Late, Part, Tallied
from midstage.stats.decide.periods import Accepted
from midstage.stats.views.statements import canonical, table

from .periods import NOVEMBER

LARGE = 2**60 + 1
"""No float holds it."""
ANN = Accepted(gaps=True, by="ann", why="disk lost")


def line(kind: str, name: str, amount: int) -> Line:
    return Line(customer="acmé", app="chat", kind=kind, name=name, amount=str(amount))


def part(shard: int) -> Part:
    return Part(
        seal=Seal(
            shard=shard,
            row=7,
            version=9,
            positions=(Position(topic="t", number=shard, next=3),),
            sealed_at=NOVEMBER.until,
        ),
        lines=(line("unit", "tokens", LARGE), line("outcome", "ok", 2)),
        late=(Late(period="2026-10", line=line("unit", "tokens", 1)),),
        sources=(Tallied(source=f"s-{shard}", rows=2, first=1, last=2),),
        gaps=(OpenGap(source=f"s-{shard}", first=3, last=None, after=NOVEMBER.since, before=None),),
    )


BYTES = (
    b'{"accepted":{"by":"ann","why":"disk lost"},"form":1,'
    b'"from":"2026-11-01T00:00:00.000000Z","gaps":['
    b'{"after":"2026-11-01T00:00:00.000000Z","before":null,"first":3,"last":null,"source":"s-0"},'
    b'{"after":"2026-11-01T00:00:00.000000Z","before":null,"first":3,"last":null,"source":"s-1"}],'
    b'"late":[{"amount":"2","app":"chat","customer":"acm\\u00e9","kind":"unit","name":"tokens",'
    b'"period":"2026-10"}],"lines":['
    b'{"amount":"4","app":"chat","customer":"acm\\u00e9","kind":"outcome","name":"ok"},'
    b'{"amount":"2305843009213693954","app":"chat","customer":"acm\\u00e9","kind":"unit",'
    b'"name":"tokens"}],"period":"2026-11","seals":['
    b'{"positions":[{"next":3,"number":0,"topic":"t"}],"row":7,'
    b'"sealed_at":"2026-12-01T00:00:00.000000Z","shard":0,"version":9},'
    b'{"positions":[{"next":3,"number":1,"topic":"t"}],"row":7,'
    b'"sealed_at":"2026-12-01T00:00:00.000000Z","shard":1,"version":9}],'
    b'"sources":[{"first":1,"last":2,"rows":2,"source":"s-0"},'
    b'{"first":1,"last":2,"rows":2,"source":"s-1"}],'
    b'"to":"2026-12-01T00:00:00.000000Z","zone":"UTC"}\n'
)


def test_these_are_the_bytes_of_a_statement_whichever_shard_answers_first() -> None:
    assert canonical(NOVEMBER, [part(0), part(1)], ANN) == BYTES
    assert canonical(NOVEMBER, [part(1), part(0)], ANN) == BYTES


def test_positions_are_in_order_and_a_source_in_several_parts_is_one() -> None:
    places = tuple(Position(topic=topic, number=n, next=1) for topic in "ab" for n in (0, 1))
    one = part(0)
    backwards = replace(
        one,
        seal=Seal(
            shard=0,
            row=7,
            version=9,
            positions=places[::-1],
            sealed_at=NOVEMBER.until + timedelta(microseconds=5),
        ),
        sources=(*one.sources, Tallied(source="s-0", rows=3, first=4, last=6)),
        gaps=(),
    )
    statement = canonical(NOVEMBER, [backwards], Accepted()).decode()
    assert statement.index('"number":0,"topic":"a"') < statement.index('"number":1,"topic":"b"')
    assert '"sealed_at":"2026-12-01T00:00:00.000005Z"' in statement
    assert '"sources":[{"first":1,"last":6,"rows":5,"source":"s-0"}]' in statement
    assert '"accepted":null' in statement


def test_the_table_has_each_line_with_its_period_in_units_and_exactly() -> None:
    assert table(BYTES).splitlines() == [
        "period,of_period,customer,app,kind,name,amount,micros",
        "2026-11,2026-11,acmé,chat,outcome,ok,4,",
        "2026-11,2026-11,acmé,chat,unit,tokens,2305843009213.693954,2305843009213693954",
        "2026-11,2026-10,acmé,chat,unit,tokens,0.000002,2",
    ]
    million = replace(part(0), lines=(line("unit", "pages", 10_500_000), line("unit", "x", 10**7)))
    shown = table(canonical(NOVEMBER, [million], ANN)).splitlines()
    assert [row.rsplit(",", 2)[1] for row in shown[1:3]] == ["10.5", "10"]
