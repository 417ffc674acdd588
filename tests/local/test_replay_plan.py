import json
import stat
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.local.replay import customers, trace
from midstage.local.replay.plan import Planned, plan, ref_of
from midstage.local.replay.prompts import Prompts
from midstage.local.replica import wire
from midstage.local.replica.service_time import PER_TOKEN_S

SPEED = trace.DEFAULT_SPEED


@pytest.fixture(scope="module")
def default() -> list[Planned]:
    return list(plan(trace.read("conv"), run="r", seed=7, speed=SPEED))


def refused(planned: list[Planned], limit: customers.CustomerLimit) -> int:
    """What a full token bucket refuses of the plan, were every answer immediate."""
    level, before, count = float(limit.burst), 0.0, 0
    for request in planned:
        if request.customer != limit.customer:
            continue
        at = request.at_s / SPEED
        level = min(limit.burst, level + (at - before) * limit.rate_per_s)
        before = at
        if level >= 1:
            level -= 1
        else:
            count += 1
    return count


def test_in_the_default_replay_some_customers_are_limited_and_most_are_not(
    default: list[Planned],
) -> None:
    rate = trace.mean_rate(trace.read("conv")) * SPEED
    limits = customers.limits(app="chat", rate_per_s=rate)
    short = {limit.customer: refused(default, limit) for limit in limits}
    assert {name for name, count in short.items() if count} == set(customers.SHORT)
    assert 0.05 < sum(short.values()) / len(default) < 0.2


def test_the_customers_shares_are_unequal_and_kept(default: list[Planned]) -> None:
    counts = Counter(request.customer for request in default)
    assert set(counts) == set(customers.NAMES)
    assert len(customers.NAMES) == 12
    for name, share in customers.SHARES.items():
        assert counts[name] / len(default) == pytest.approx(share, abs=0.02)
    assert sum(customers.SHARES.values()) == pytest.approx(1)
    assert max(customers.SHARES.values()) > 10 * min(customers.SHARES.values())


def test_the_same_seed_plans_the_same_however_many_follow() -> None:
    conv = trace.read("conv", most=500)
    whole = list(plan(conv, run="r", seed=1, speed=SPEED))
    assert list(plan(conv[:200], run="r", seed=1, speed=SPEED)) == whole[:200]
    assert list(plan(conv, run="r", seed=2, speed=SPEED)) != whole


def test_most_are_streamed_and_a_few_callers_leave_in_the_middle(default: list[Planned]) -> None:
    streamed = sum(request.streamed for request in default) / len(default)
    assert streamed == pytest.approx(0.6, abs=0.03)
    leaving = [request for request in default if request.leaves_after]
    assert 0.002 < len(leaving) / len(default) < 0.03
    for request in leaving:
        assert request.streamed
        assert 0 < request.leaves_after < request.max_tokens
        left_s = (request.max_tokens - request.leaves_after) * PER_TOKEN_S / SPEED
        assert left_s >= 0.75


def test_refs_sort_as_their_numbers() -> None:
    refs = [ref_of("run", number) for number in (1, 9, 10, 99, 100, 3600, 9_999_999)]
    assert refs == sorted(refs)
    assert refs[0] == "run-0000001"


@given(st.integers(1, 3000), st.integers(1, 500), st.booleans())
def test_a_prompt_has_exactly_the_words_that_were_asked_for(
    words: int, tokens: int, streamed: bool
) -> None:
    prompts = Prompts(longest=3000)
    for _ in range(3):
        asked = wire.asked(prompts.body(words=words, max_tokens=tokens, streamed=streamed))
        assert (asked.prompt_tokens, asked.max_tokens) == (words, tokens)
        assert asked.stream is streamed


def test_each_directory_has_keys_of_its_own_that_only_its_owner_reads(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    first = customers.write_keys(one)
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    assert sorted(first.values()) == sorted(customers.NAMES)
    assert customers.write_keys(one) == first == json.loads(one.read_text())
    assert not set(customers.write_keys(other)) & set(first)
    by_customer = customers.keys_by_customer(one)
    assert {key: name for name, key in by_customer.items()} == first
