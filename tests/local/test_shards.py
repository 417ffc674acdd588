"""Several stats, and hpas, side by side: each its part and address; of stats its ledger too."""

from pathlib import Path

from midstage.local import addresses
from midstage.local.layout import Layout
from midstage.local.table import Table


def table(root: Path, shards: int, scalers: int = 1) -> Table:
    layout = Layout(root=root)
    others = *addresses.stats_names(shards)[1:], *addresses.hpa_names(scalers)[1:]
    names = (*addresses.SINGLE, *others)
    ports = {name: 20_000 + at for at, name in enumerate(names)}
    return Table(
        layout=layout,
        addresses=addresses.addresses(ports, layout=layout, shards=shards),
        ports=ports,
        speed=1.0,
        instead={},
        shards=shards,
        scalers=scalers,
    )


def test_three_shards_have_a_ledger_each_and_know_each_other(tmp_path: Path) -> None:
    made = table(tmp_path, 3)
    children = made.stats_shards()
    assert [child.name for child in children] == ["stats", "stats-1", "stats-2"]
    told = [child.env for child in children]
    assert [env["MIDSTAGE_STATS_SHARD"] for env in told] == ["0", "1", "2"]
    assert {env["MIDSTAGE_STATS_SHARDS"] for env in told} == {"3"}
    assert len({env["MIDSTAGE_STATS_LEDGER_FILE"] for env in told}) == 3
    assert {env["MIDSTAGE_STATS_PEERS"] for env in told} == {",".join(made.addresses.stats_shards)}
    for env, url in zip(told, made.addresses.stats_shards, strict=True):
        assert url.endswith(env["MIDSTAGE_STATS_PORT"])


def test_one_stats_is_where_it_always_was(tmp_path: Path) -> None:
    made = table(tmp_path, 1)
    (child,) = made.stats_shards()
    assert child.env == made.stats().env
    assert child.name == "stats"
    assert made.addresses.stats_shards == (made.addresses.stats,)
    assert child.env["MIDSTAGE_STATS_LEDGER_FILE"] == str(made.layout.ledger)


def test_three_hpas_have_an_address_each_and_one_is_where_it_always_was(tmp_path: Path) -> None:
    made = table(tmp_path, 1, scalers=3)
    children = made.hpas()
    assert [child.name for child in children] == ["hpa", "hpa-1", "hpa-2"]
    assert len({child.env["MIDSTAGE_HPA_PORT"] for child in children}) == 3
    assert made.addresses.hpa.endswith(children[0].env["MIDSTAGE_HPA_PORT"])
    assert [child.env for child in table(tmp_path, 1).hpas()] == [children[0].env]
