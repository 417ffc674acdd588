"""Usage over several shards: one question, added up over HTTP."""

from collections.abc import Callable

import pytest

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.stats.adapters.shards import FarShard
from midstage.stats.adapters.usage.everywhere import AllShards
from midstage.stats.views.shards import Shard
from midstage.stats.views.usage.answer import ordered, shown
from midstage.stats.views.usage.asking import from_parameters
from midstage.stats.views.usage.parts import Part, merged
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
    question = from_parameters(
        [("group_by", "customer"), ("measures", "requests,customers,latency_ms.p99,units")],
        now=NOON,
    ).question
    with served(other.app) as url:
        shards = AllShards(
            own=service.ledger.queries().usage, far=[FarShard(url=url, token="secret")]
        )
        together = merged(shards.parts(question, versions=None, now=NOON))
        pinned = merged(shards.parts(question, versions=together.standing.versions, now=NOON))
        with pytest.raises(RefusedError, match="Authorization"):
            AllShards(own=shards.own, far=[FarShard(url=url, token="wrong")]).parts(
                question, versions=None, now=NOON
            )
    alone = [
        each.ledger.queries().usage.part(question, versions=None, now=NOON)
        for each in (service, other)
    ]
    assert set(together.standing.versions) == {0, 1}
    assert requests(together) == requests(alone[0]) + requests(alone[1]) > 0
    assert {group.key[0] for group in together.groups} == {"acme", "globex", "initech"}
    assert shown(question, ordered(question, pinned.groups)) == shown(
        question, ordered(question, together.groups)
    )
    gone = AllShards(own=shards.own, far=[FarShard(url=url, token="secret")])
    with pytest.raises(UnavailableError, match="does not answer"):
        gone.parts(question, versions=None, now=NOON)
    one.stop()
    two.stop()


def requests(part: Part) -> int:
    return sum(sum(group.outcomes.values()) for group in part.groups)
