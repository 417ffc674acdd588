"""A limit over all customers, counted by several processes: together no more than one would."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.algorithms import (
    AnyAlgorithm,
    CalendarQuota,
    Every,
    FixedWindow,
    LifetimeQuota,
    Refill,
    SlidingCounter,
    Starts,
    TokenBucket,
)
from midstage.contracts.limits import REQUESTS, FailureRule, LimitSet
from midstage.testkit.clock import NOON
from midstage.throttle.adapters.http2.calls import CallError
from midstage.throttle.adapters.parts import answering
from midstage.throttle.model.checks import Ended
from midstage.throttle.model.parts import UNSAID, PartAsked
from tests.throttle.spanned import FATES, NAME, World

_MS = 1_000_000
_SECOND = 1_000 * _MS
ALGORITHMS: list[AnyAlgorithm] = [
    TokenBucket(period_s=30.0),
    TokenBucket(period_s=5.0, refill=Refill.WHOLE),
    FixedWindow(period_s=5.0),
    FixedWindow(period_s=5.0, starts=Starts.FIRST_HIT),
    SlidingCounter(period_s=5.0),
    CalendarQuota(every=Every.DAY),
    LifetimeQuota(),
]
KINDS = [f"{type(each).__name__}-{number}" for number, each in enumerate(ALGORITHMS)]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("check"), st.integers(0, 3), st.integers(1, 12)),
        st.tuples(st.just("use up"), st.integers(0, 3), st.integers(3, 9)),
        st.tuples(
            st.just("pass time"),
            st.sampled_from([1, 40, 150, 1_200, 11_000]),
            st.integers(0, 1),
        ),
        st.tuples(st.just("crash"), st.integers(0, 3), st.integers(0, 3)),
        st.tuples(st.just("take over"), st.integers(0, 3), st.integers(0, 1)),
        st.tuples(st.just("repeat"), st.integers(0, 50), st.just(0)),
        st.tuples(st.just("fate"), st.integers(0, len(FATES) - 1), st.just(0)),
    ),
    min_size=10,
    max_size=60,
)


def over_all(algorithm: AnyAlgorithm, *, amount: int = 60, unit: str = REQUESTS) -> LimitSet:
    return LimitSet(
        limit=NAME,
        aggregate=True,
        amount=amount,
        unit=unit,
        algorithm=algorithm,
        on_failure=FailureRule.CLOSED,
        at=NOON,
    )


def run(story: Callable[[World], Awaitable[None]], *limits: LimitSet, processes: int = 3) -> World:
    async def told() -> World:
        world = World(*limits, processes=processes)
        await story(world)
        return world

    return asyncio.run(told())


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=KINDS)
@settings(max_examples=60)
@given(steps=STEPS)
def test_whoever_dies_and_whatever_is_lost_all_admit_no_more_than_one_meter(
    algorithm: AnyAlgorithm, steps: list[tuple[str, int, int]]
) -> None:
    async def story(world: World) -> None:
        for step in steps:
            await world.step(*step)

    assert run(story, over_all(algorithm)).overshoot() == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=KINDS)
def test_processes_that_know_of_no_other_admit_the_limit_each(algorithm: AnyAlgorithm) -> None:
    """The negative control: it is the parts that hold the limit, and this judge sees it."""

    async def story(world: World) -> None:
        for name, process in world.processes.items():
            world.own(name)
            world.stand.clear()
            for _ in range(10):
                await process.check(6)

    assert run(story, over_all(algorithm)).overshoot() == 2 * 60


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=KINDS)
def test_alone_the_owner_has_all(algorithm: AnyAlgorithm) -> None:
    async def story(world: World) -> None:
        for _ in range(70):
            await world.processes["p0"].check(1)

    assert len(run(story, over_all(algorithm), processes=1).passed) == 60


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=KINDS)
def test_another_process_gets_all_that_is_left_when_only_it_is_asked(
    algorithm: AnyAlgorithm,
) -> None:
    async def story(world: World) -> None:
        for _ in range(400):
            await world.processes["p1"].check(1)
            world.now_ns += _MS

    world = run(story, over_all(algorithm), processes=2)
    assert world.overshoot() == 0
    assert len(world.passed) >= 0.9 * 60


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=KINDS)
def test_a_customers_limit_and_one_over_all_take_both_or_neither(algorithm: AnyAlgorithm) -> None:
    async def story(world: World) -> None:
        other = world.processes["p1"]
        answers = [await other.check(1, customer="small") for _ in range(10)]
        assert [bool(each and each.admitted) for each in answers] == [True] * 3 + [False] * 7
        refused = answers[-1]
        assert refused is not None
        assert refused.violated == ("small",)
        for _ in range(300):
            await other.check(1, customer="acme")
            world.now_ns += _MS
        assert len(world.passed) >= 0.9 * 60  # what was refused has taken nothing
        late = await other.check(40, customer="roomy")
        assert late is not None
        assert late.violated == (NAME,)
        left = {limit.limit: left.remaining for limit, left in other.gate.left("roomy", None, "")}
        assert left["roomy"] == 50

    small = own("small", amount=3)
    assert run(story, over_all(algorithm), small, own("roomy", amount=50)).overshoot() == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=KINDS)
def test_what_requests_use_without_an_estimate_is_charged_where_it_is_counted(
    algorithm: AnyAlgorithm,
) -> None:
    async def story(world: World) -> None:
        owner, other = world.processes["p0"], world.processes["p1"]
        passed = 0
        for number in range(40):
            answer = await other.check(1)
            passed += bool(answer and answer.admitted)
            if answer and answer.admitted:
                ended = Ended(request="", customer="acme", app="chat", used={"tokens": 10})
                other.gate.settle(msgspec.structs.replace(ended, request=f"r{number}"))
            world.now_ns += 2 * _MS
            await world.turn()
        world.now_ns += 150 * _MS
        await world.settle()
        assert 6 <= passed <= 8  # 60 tokens, and what is learned a moment later
        ((_, left),) = owner.gate.left("acme", None, "")
        assert left.remaining <= 15

    world = run(story, over_all(algorithm, unit="tokens"), processes=2)
    assert world.asked


def test_an_owner_that_does_not_answer_is_waited_for_and_then_the_failure_rule_speaks() -> None:
    async def story(world: World) -> None:
        other = world.processes["p1"]
        world.fates = ["question lost"] * 1_000
        assert await other.check(1) is None  # it waits as long as its caller has
        world.now_ns += 2 * _SECOND
        refused = await other.check(1)
        assert refused is not None
        assert not refused.admitted
        world.fates = []
        world.now_ns += _SECOND
        await other.check(1)
        await world.settle()
        passed = await other.check(1)
        assert passed is not None
        assert passed.admitted

    run(story, over_all(LifetimeQuota()))


def test_what_is_not_used_is_given_back() -> None:
    async def story(world: World) -> None:
        owner, other = world.processes["p0"], world.processes["p1"]
        for _ in range(10):
            await other.check(2)
        await world.settle()
        used = sum(units for _, units in world.passed)
        world.now_ns += 2 * _SECOND
        await world.settle()
        ((_, left),) = owner.gate.left("acme", None, "")
        assert left.remaining == 60 - used

    run(story, over_all(LifetimeQuota()), processes=2)


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=KINDS)
def test_a_part_is_over_with_its_term_or_its_window(algorithm: AnyAlgorithm) -> None:
    """Nobody has heard of its holder since: the owner has it again, but for units that last."""

    async def story(world: World) -> None:
        owner, other = world.processes["p0"], world.processes["p1"]
        for _ in range(5):
            await other.check(2)
        await world.settle()
        world.is_cut = True
        world.now_ns += 60 * _SECOND
        for process in (other, owner):  # a process that stood still finds its part in its hands
            for _ in range(60):
                await process.check(1)
        assert [at for at, units in world.passed if units == 1]

    assert run(story, over_all(algorithm), processes=2).overshoot() == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=KINDS)
def test_an_old_question_that_comes_again_changes_nothing(algorithm: AnyAlgorithm) -> None:
    async def story(world: World) -> None:
        owner, other = world.processes["p0"], world.processes["p1"]
        for _ in range(5):
            await other.check(2)
        await world.settle()
        world.now_ns += 2 * _SECOND
        await world.settle()  # what was not used is given back
        ((_, before),) = owner.gate.left("acme", None, "")
        for at in range(len(world.asked)):
            world.repeat(at)
        await world.settle()
        ((_, after),) = owner.gate.left("acme", None, "")
        assert world.asked[-1].back > 0
        assert after == before

    run(story, over_all(algorithm), processes=2)


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=KINDS)
def test_a_stranger_that_counts_after_a_crash_leaves_others_their_parts(
    algorithm: AnyAlgorithm,
) -> None:
    async def story(world: World) -> None:
        holder, stranger = world.processes["p1"], world.processes["p2"]
        await holder.check(2)
        await world.settle()
        world.crash("p0", "p2")
        world.is_cut = True
        world.now_ns += 700 * _MS
        for _ in range(60):
            await stranger.check(1)
            await holder.check(1)

    assert run(story, over_all(algorithm)).overshoot() == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=KINDS)
def test_who_stops_gives_back_what_it_was_lent(algorithm: AnyAlgorithm) -> None:
    async def story(world: World) -> None:
        owner, other = world.processes["p0"], world.processes["p1"]
        for _ in range(10):
            await other.check(2)
        await world.settle()
        stop = asyncio.Event()
        stop.set()
        await other.parts.run(stop)
        for _ in range(60 - 2 * len(world.passed)):
            rest = await owner.check(1)
            assert rest is not None
            assert rest.admitted

    assert run(story, over_all(algorithm), processes=2).overshoot() == 0


def test_a_dead_processes_part_of_a_bucket_comes_back_after_its_term() -> None:
    async def story(world: World) -> None:
        owner, other = world.processes["p0"], world.processes["p1"]
        await other.check(2)
        await world.settle()
        del world.processes["p1"]
        whole = await owner.check(60)
        assert whole is not None
        assert not whole.admitted
        world.now_ns += 80 * _SECOND
        whole = await owner.check(60)
        assert whole is not None
        assert whole.admitted

    bucket = TokenBucket(period_s=60.0, burst=60)
    assert run(story, over_all(bucket), processes=2).overshoot() == 0


@pytest.mark.parametrize(
    "algorithm", [TokenBucket(period_s=86_400.0, burst=60), LifetimeQuota()], ids=["rate", "units"]
)
def test_who_counts_from_now_on_has_what_it_was_lent(algorithm: AnyAlgorithm) -> None:
    """Without a term of waiting: what the owner kept, and what it has lent to this very process."""

    async def story(world: World) -> None:
        heir = world.processes["p1"]
        for _ in range(4):
            await heir.check(2)
        await world.settle()
        world.crash("p0", "p1")
        world.now_ns += 600 * _MS  # the claim that stands in the log is for so long ahead
        await world.settle()
        for _ in range(60):
            await heir.check(1)
        assert len(world.passed) >= 0.75 * 60

    assert run(story, over_all(algorithm), processes=2).overshoot() == 0


def own(customer: str, *, amount: int) -> LimitSet:
    return LimitSet(
        limit=customer,
        customer=customer,
        amount=amount,
        algorithm=LifetimeQuota(),
        on_failure=FailureRule.CLOSED,
        at=NOON,
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"{}",
        b"[" * 100_000,
        b'{"limit": "all", "owner": "p0", "holder": "x", "number": 0}',
        b'{"limit": "all", "owner": "p0", "holder": "x", "number": 1, "least": -1}',
        b'{"limit": "all", "owner": "p0", "holder": "x", "number": 1, "least": 1e400}',
        b'{"limit": "all", "owner": "p0", "holder": "x", "number": 1, "wants_micros": 1'
        + b"0" * 40,
    ],
)
def test_what_is_no_question_is_refused(body: bytes) -> None:
    async def story(world: World) -> None:
        answered = answering(world.processes["p0"].apportioning.lend)
        with pytest.raises(CallError):
            answered(body, None)

    run(story, over_all(LifetimeQuota()))


def test_nothing_is_said_to_a_question_for_another_process_or_limit() -> None:
    async def story(world: World) -> None:
        asked = PartAsked(limit=NAME, owner="p0", holder="x", number=1, least=5)
        lend = world.processes["p0"].apportioning.lend
        assert lend(msgspec.structs.replace(asked, owner="p0-before")) == UNSAID
        assert lend(msgspec.structs.replace(asked, limit="small")) == UNSAID
        assert lend(msgspec.structs.replace(asked, limit="nobody-set")) == UNSAID
        assert world.processes["p1"].apportioning.lend(asked) == UNSAID
        world.own("p1")
        assert lend(asked) == UNSAID

    run(story, over_all(LifetimeQuota()), own("small", amount=3))
