"""Usage over several shards: one question, added up over HTTP."""

from collections.abc import Callable

import pytest

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.stats.adapters.shards import FarShard
from midstage.stats.adapters.usage import reading, statements
from midstage.stats.adapters.usage.everywhere import AllShards
from midstage.stats.views.shards import Shard
from midstage.stats.views.usage.answer import ordered, shown
from midstage.stats.views.usage.asking import from_parameters
from midstage.stats.views.usage.parts import Part, merged
from midstage.stats.views.usage.question import Question
from tests.serving import served

from .conftest import NOON, Bench

pytestmark = pytest.mark.slow


def test_two_shards_say_together_what_each_has(benches: Callable[[], Bench]) -> None:
    one, two = benches(), benches()
    one.shard, two.shard = Shard(number=0, of=2), Shard(number=1, of=2)
    for bench, customers in ((one, ("acme", "globex")), (two, ("acme", "initech"))):
        edges = [bench.edge(file=f"{n}") for n in range(24)]  # some lie in its own partitions
        bench.write(*(edge.line(1, customer=name) for edge in edges for name in customers[:1]))
        bench.write(*(edge.line(2, customer=customers[1]) for edge in edges))
    service, other = one.caught_up(), two.caught_up()
    asked = question("requests,customers,latency_ms.p99,units", ("group_by", "customer"))
    with served(other.app) as url:
        shards = AllShards(
            own=service.ledger.queries().usage, far=[FarShard(url=url, token="secret")]
        )
        together = merged(shards.parts(asked, versions=None, now=NOON))
        pinned = merged(shards.parts(asked, versions=together.standing.versions, now=NOON))
        with pytest.raises(RefusedError, match="Authorization"):
            AllShards(own=shards.own, far=[FarShard(url=url, token="wrong")]).parts(
                asked, versions=None, now=NOON
            )
    alone = [
        each.ledger.queries().usage.part(asked, versions=None, now=NOON)
        for each in (service, other)
    ]
    assert set(together.standing.versions) == {0, 1}
    assert requests(together) == requests(alone[0]) + requests(alone[1]) > 0
    assert {group.key[0] for group in together.groups} == {"acme", "globex", "initech"}
    assert shown(asked, ordered(asked, pinned.groups)) == shown(
        asked, ordered(asked, together.groups)
    )
    gone = AllShards(own=shards.own, far=[FarShard(url=url, token="secret")])
    with pytest.raises(UnavailableError, match="does not answer"):
        gone.parts(asked, versions=None, now=NOON)
    one.stop()
    two.stop()


def test_customers_are_told_apart_over_shards_as_far_as_that_is_bounded(
    benches: Callable[[], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = benches(), benches()
    one.shard, two.shard = Shard(number=0, of=2), Shard(number=1, of=2)
    for bench, names in ((one, "abcd"), (two, "cdé")):
        edges = [bench.edge(file=f"{n}") for n in range(24)]  # some lie in its own partitions
        for edge in edges:
            bench.write(*(edge.line(n, customer=name) for n, name in enumerate(names, start=1)))
    service, other = one.caught_up(), two.caught_up()
    total = question("customers")
    own = service.ledger.queries().usage
    with served(other.app) as url:
        shards = AllShards(own=own, far=[FarShard(url=url, token="secret")])
        together = merged(shards.parts(total, versions=None, now=NOON))
        assert [group.customers for group in together.groups] == [5]
        for module in (reading, statements):
            monkeypatch.setattr(module, "MOST_TOLD_APART", 3)
        with pytest.raises(RefusedError, match="leave customers out") as refused:
            shards.parts(total, versions=None, now=NOON)
        assert refused.value.status == 400
        by_app = question("customers", ("group_by", "app"), ("customer", "é"), ("customer", "c"))
        assert [
            (group.key, group.customers)
            for group in merged(shards.parts(by_app, versions=None, now=NOON)).groups
        ] == [(("chat",), 2)]
    (alone,) = own.parts(total, versions=None, now=NOON)
    assert [group.customers for group in alone.groups] == [4]  # no name leaves the database
    one.stop()
    two.stop()


def question(measures: str, *more: tuple[str, str]) -> Question:
    return from_parameters([("measures", measures), *more], now=NOON).question


def requests(part: Part) -> int:
    return sum(sum(group.outcomes.values()) for group in part.groups)
