"""What Envoy is told, over real gRPC on loopback."""

import asyncio
import time

import grpc
import msgspec
import pytest
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
    rls_pb2_grpc,
)

from midstage.contracts.algorithms import Slots
from midstage.throttle.adapters.answers import encoded
from midstage.throttle.adapters.envoy import RateLimitServer
from midstage.throttle.adapters.imported.protocol import RateLimitRequest
from midstage.throttle.adapters.questions import decoded
from midstage.throttle.model.checks import Check, Judged, Left
from midstage.throttle.views.book import meeting_of
from tests.throttle.gated import (
    OK,
    OVER_LIMIT,
    TINY,
    WITHIN_S,
    Held,
    Platform,
    limit,
    now,
    platform_of,
    question,
    run,
    sent,
)

SECOND = 1_000_000_000


def test_parallel_calls_never_share_a_token() -> None:
    async def story(platform: Platform) -> None:
        answers = await asyncio.gather(*(platform.ask("acme", "chat") for _ in range(500)))
        codes = [answer.overall_code for answer in answers]
        assert codes.count(OK) == 100
        assert codes.count(OVER_LIMIT) == 400
        assert platform.counted("midstage_throttle_checks_total", verdict="admitted") == 100
        assert platform.counted("midstage_throttle_checks_total", verdict="refused") == 400

    run(story, limit("acme", "chat", rate_per_s=TINY, burst=100))


def test_headers_tell_what_is_left_and_when_to_come_back() -> None:
    async def story(platform: Platform) -> None:
        passed = await platform.ask("acme", "chat")
        refused = await platform.ask("acme", "chat", hits=3)
        assert sent(passed) == {
            "RateLimit": '"acme-chat";r=2;t=2',
            "RateLimit-Policy": '"acme-chat";q=3;w=6',
        }
        assert sent(refused) == {
            "RateLimit": '"acme-chat";r=2;t=2',
            "RateLimit-Policy": '"acme-chat";q=3;w=6',
            "Retry-After": "2",
        }
        assert refused.statuses[0].code == OVER_LIMIT
        assert refused.statuses[0].limit_remaining == 2

    run(story, limit("acme", "chat", rate_per_s=0.5, burst=3), clock=lambda: SECOND)


def test_who_has_no_limit_passes() -> None:
    async def story(platform: Platform) -> None:
        answer = await platform.ask("bolt", "chat")
        assert answer.overall_code == OK
        assert sent(answer) == {}
        assert platform.counted("midstage_throttle_checks_total", verdict="unlimited") == 1

    run(story, limit("acme", "chat", rate_per_s=TINY, burst=1))


def test_a_question_of_another_domain_passes_and_is_counted() -> None:
    async def story(platform: Platform) -> None:
        asked = question("acme", "chat", domain="theirs")
        for _ in range(2):
            assert (await platform.stub.ShouldRateLimit(asked)).overall_code == OK
        assert platform.counted("midstage_throttle_checks_total", verdict="foreign") == 2

    run(story, limit("acme", "chat", rate_per_s=TINY, burst=1))


@pytest.mark.parametrize(
    ("descriptors", "words"),
    [
        ([], "this one has 0"),
        ([{"customer": "acme", "app": "chat"}] * 2, "this one has 2"),
        ([{"app": "chat"}], "this one lacks customer"),
        ([{"customer": "acme"}], "this one lacks app"),
        ([{"customer": "", "app": ""}], "this one lacks customer and app"),
        ([{"customer": "é" * 257, "app": "chat"}], "customer of more than 256 characters"),
        ([{"customer": "acme", "app": "x" * 257}], "app of more than"),
        ([{"customer": "acme", "app": "chat", "key": "x" * 257}], "key of more than"),
        ([{"customer": "acme", "app": "chat", "request_id": "x" * 257}], "request_id of more than"),
    ],
)
def test_what_no_limit_could_judge_is_no_pass(
    descriptors: list[dict[str, str]], words: str
) -> None:
    """An error, so the caller's failure mode speaks: passing would be a limit that is not there."""

    async def story(platform: Platform) -> None:
        asked = rls_pb2.RateLimitRequest(domain="midstage")
        for entries in descriptors:
            descriptor = asked.descriptors.add()
            for key, value in entries.items():
                descriptor.entries.add(key=key, value=value)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await platform.stub.ShouldRateLimit(asked)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert words in (refused.value.details() or "")
        assert platform.counted("midstage_throttle_checks_total", verdict="malformed") == 1
        assert platform.counted("midstage_throttle_checks_total", verdict="foreign") == 0

    run(story, limit("acme", "chat", rate_per_s=TINY, burst=1))


def test_hits_are_taken_all_or_none() -> None:
    async def story(platform: Platform) -> None:
        assert (await platform.ask("acme", "chat", hits=6)).overall_code == OK
        assert (await platform.ask("acme", "chat", hits=5)).overall_code == OVER_LIMIT
        assert (await platform.ask("acme", "chat", hits=4)).overall_code == OK
        assert (await platform.ask("acme", "chat")).overall_code == OVER_LIMIT

    run(story, limit("acme", "chat", rate_per_s=TINY, burst=10))


def test_a_changed_limit_holds_at_once_and_a_removed_one_no_longer() -> None:
    async def story(platform: Platform) -> None:
        assert (await platform.ask("acme", "chat", hits=2)).overall_code == OVER_LIMIT
        platform.log.set(limit("acme", "chat", rate_per_s=1_000_000.0, burst=5))
        await platform.until(lambda: platform.passes("acme", "chat", hits=2))
        platform.log.set()
        await platform.until(lambda: platform.passes("acme", "chat", hits=9))

    run(story, limit("acme", "chat", rate_per_s=TINY, burst=1))


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "code"), [("open", OK), ("closed", OVER_LIMIT)])
def test_who_waited_too_long_gets_the_failure_rule(rule: str, code: int) -> None:
    async def story(platform: Platform) -> None:
        assert (await platform.ask("acme", "chat")).overall_code == (OK)
        with grpc.insecure_channel(f"127.0.0.1:{platform.port}") as channel:
            stub = rls_pb2_grpc.RateLimitServiceStub(channel)
            answer = None
            # where the machine is busy it may be sent only when the loop is not: then once more
            while not platform.counted("midstage_throttle_late_total", rule=rule):
                # as Envoy does: with a deadline, which runs from here on
                asked = stub.ShouldRateLimit.future(question("acme", "chat"), timeout=WITHIN_S)
                time.sleep(0.6)  # this is the blocked event loop that the test is about
                answer = await asyncio.to_thread(asked.result)
        assert answer is not None
        assert answer.overall_code == code
        assert platform.counted("midstage_throttle_late_total", rule=rule) == 1

    ruled = limit("acme", "chat", rate_per_s=TINY, burst=1 if rule == "open" else 10, rule=rule)
    run(story, ruled, caller_timeout_s=WITHIN_S, late_below_s=WITHIN_S - 0.3)


def test_the_port_opens_when_the_limits_are_known() -> None:
    async def story() -> None:
        log = Held(limit("acme", "chat", rate_per_s=TINY, burst=1), behind="3 records behind")
        async with platform_of(log) as platform:
            await platform.until(lambda: now(log.asked > 2))
            assert platform.server.port is None
            assert platform.server.serving() is not None
            log.behind = None
            await platform.until(lambda: now(platform.server.port is not None))
            assert platform.server.serving() is None
            async with platform.connected():
                assert (await platform.ask("acme", "chat")).overall_code == OK
                assert (await platform.ask("acme", "chat")).overall_code == OVER_LIMIT

    asyncio.run(story())


def test_meters_that_are_full_again_are_let_go_and_no_other() -> None:
    async def story(platform: Platform) -> None:
        assert (await platform.ask("acme", "chat", hits=5)).overall_code == OK
        for number in range(20):
            await platform.ask(f"random-{number}", "chat")

        def held() -> float:
            return platform.counted("midstage_throttle_meters")

        await platform.until(lambda: now(held() == 21))
        passed_ns.append(5 * SECOND)  # of the 25 that fill acme's bucket again
        await platform.until(lambda: now(held() <= 1))
        assert (await platform.ask("acme", "chat", hits=5)).overall_code == OVER_LIMIT
        passed_ns.append(25 * SECOND)
        await platform.until(lambda: now(held() == 0))

    passed_ns = [0]
    run(story, limit("*", "chat", rate_per_s=0.2, burst=5), clock=lambda: passed_ns[-1])


def test_a_taken_port_is_an_error() -> None:
    async def story(platform: Platform) -> None:
        second = RateLimitServer(
            host="127.0.0.1",
            port=platform.port,
            answer=platform.gate.check,
            foreign=lambda: None,
            malformed=lambda _: None,
            closed=lambda: None,
        )
        with pytest.raises(RuntimeError, match=str(platform.port)):
            await second.run(asyncio.Event())

    run(story)


def test_after_the_stop_nobody_is_served() -> None:
    async def story(platform: Platform) -> None:
        assert (await platform.ask("acme", "chat")).overall_code == OK
        platform.stop.set()
        await platform.until(lambda: now(platform.server.port is None))
        with pytest.raises(grpc.aio.AioRpcError):
            await platform.until(lambda: platform.passes("acme", "chat", hits=10**6))

    run(story)


@pytest.mark.parametrize(
    ("rate_per_s", "burst", "left", "refused", "expected"),
    [
        (10.0, 10, (9, SECOND // 10), False, ['"acme-chat";r=9;t=1', '"acme-chat";q=10;w=1']),
        (3.0, 10, (10, None), False, ['"acme-chat";r=10', '"acme-chat";q=10;w=4']),
        (3.0, 10, (0, 1), True, ['"acme-chat";r=0;t=1', '"acme-chat";q=10;w=4', "1"]),
        (3.0, 10, (0, None), True, ['"acme-chat";r=0', '"acme-chat";q=10;w=4']),
        (
            TINY,
            1_000_000,
            (4, 7 * SECOND + 1),
            True,
            ['"acme-chat";r=4;t=8', '"acme-chat";q=1000000;w=1000000000000', "8"],
        ),
    ],
)
def test_headers_as_the_draft_writes_them(
    rate_per_s: float, burst: int, left: tuple[int, int | None], refused: bool, expected: list[str]
) -> None:
    limits = [limit("acme", "chat", rate_per_s=rate_per_s, burst=burst)]
    remaining, wait_ns = left
    judged = Judged(
        admitted=not refused,
        meeting=meeting_of(limits),
        left=[Left(remaining=remaining, wait_ns=wait_ns)],
        violated=("acme-chat",) if refused else (),
        wait_ns=wait_ns,
    )
    told = rls_pb2.RateLimitResponse.FromString(encoded(judged))
    assert list(sent(told).values()) == expected


def test_all_limits_are_told_and_those_that_refuse_are_named() -> None:
    async def story(platform: Platform) -> None:
        passed = await platform.ask("acme", "chat", hits=2)
        refused = await platform.ask("acme", "chat", hits=2)
        policies = '"*-chat";q=9;w=90, "acme-*";q=3;w=6, "acme-chat";q=2;w=2'
        assert sent(passed) == {
            "RateLimit": '"*-chat";r=7;t=10, "acme-*";r=1;t=2, "acme-chat";r=0;t=1',
            "RateLimit-Policy": policies,
        }
        assert passed.statuses[0].limit_remaining == 0
        assert sent(refused) == {
            "RateLimit": '"*-chat";r=7;t=10, "acme-*";r=1;t=2, "acme-chat";r=0;t=2',
            "RateLimit-Policy": policies,
            "Retry-After": "2",
        }
        assert list(refused.dynamic_metadata["violated"]) == ["acme-*", "acme-chat"]

    run(
        story,
        limit("acme", "chat", rate_per_s=1.0, burst=2),
        limit("acme", "*", rate_per_s=0.5, burst=3),
        limit("*", "chat", rate_per_s=0.1, burst=9),
        clock=lambda: SECOND,
    )


def test_a_limit_in_shadow_mode_is_not_told_of_and_counted() -> None:
    async def story(platform: Platform) -> None:
        for _ in range(3):
            answer = await platform.ask("acme", "chat")
            assert (answer.overall_code, sent(answer)) == (OK, {})
        assert platform.counted("midstage_throttle_shadowed_total") == 2

    shadowed = msgspec.structs.replace(limit("acme", "chat", rate_per_s=TINY, burst=1), shadow=True)
    run(story, shadowed)


def test_units_are_charged_as_they_are_estimated() -> None:
    async def story(platform: Platform) -> None:
        asked = question("acme", "chat")
        asked.descriptors[0].entries.add(key="units.tokens", value="60")
        codes = []
        for request in ("one", "two"):
            asked.descriptors[0].entries[2].value = request
            codes.append((await platform.stub.ShouldRateLimit(asked)).overall_code)
        assert codes == [OK, OVER_LIMIT]
        assert (await platform.ask("acme", "chat")).overall_code == OK

    run(
        story,
        msgspec.structs.replace(limit("acme", "chat", rate_per_s=TINY, burst=100), unit="tokens"),
    )


def test_a_descriptors_own_hits_go_before_the_requests() -> None:
    asked = question("acme", "chat", hits=7)
    assert decoded(asked.SerializeToString()) == check(hits=7)
    asked.descriptors[0].hits_addend.value = 0
    assert decoded(asked.SerializeToString()) == check(hits=0)


@pytest.mark.parametrize(
    ("value", "units"),
    [
        ("12", {"tokens": 12}),
        ("0", {"tokens": 0}),
        ("-5", {}),
        ("1.5", {}),
        ("many", {}),
        ("", {}),
        ("٣", {}),
        ("9" * 12_000, {"tokens": 10**15}),
    ],
)
def test_what_is_no_number_of_units_says_nothing(value: str, units: dict[str, int]) -> None:
    asked = question("acme", "chat")
    asked.descriptors[0].entries.add(key="units.tokens", value=value)
    asked.descriptors[0].entries.add(key="key", value="web")
    assert decoded(asked.SerializeToString()) == check(key="web", units=units)


def test_hits_beyond_measure_are_bounded() -> None:
    asked = question("acme", "chat")
    asked.descriptors[0].hits_addend.value = 2**64 - 1
    assert decoded(asked.SerializeToString()) == check(hits=10**15)


def test_negative_hits_end_a_request_and_free_its_slot_alone() -> None:
    async def story(platform: Platform) -> None:
        async def ask(request: str, *, over: bool = False) -> int:
            return int((await platform.stub.ShouldRateLimit(of(request, over=over))).overall_code)

        assert [await ask("a"), await ask("b")] == [OK, OVER_LIMIT]
        assert [await ask("a", over=True), await ask("a", over=True)] == [OK, OK]
        assert [await ask("b"), await ask("c")] == [OK, OVER_LIMIT]
        assert await ask("", over=True) == OK
        assert await ask("b", over=True) == OK
        left = sent(await platform.stub.ShouldRateLimit(of("b", over=True)))["RateLimit"]
        assert left.startswith('"acme-at-once";r=1, "acme-chat";r=98;')  # two have passed

    at_once = msgspec.structs.replace(
        limit("acme", "chat", rate_per_s=1, burst=1),
        limit="acme-at-once",
        unit="concurrency",
        algorithm=Slots(ttl_s=60),
    )
    run(story, at_once, limit("acme", "chat", rate_per_s=TINY, burst=100))


def of(request: str, *, over: bool) -> rls_pb2.RateLimitRequest:
    """A question, or that the request is over: a field that the library's message has not."""
    asked = RateLimitRequest.FromString(question("acme", "chat").SerializeToString())
    asked.descriptors[0].entries[2].value = request
    asked.descriptors[0].is_negative_hits = over
    return rls_pb2.RateLimitRequest.FromString(asked.SerializeToString())


def test_what_meets_no_limit_passes() -> None:
    assert rls_pb2.RateLimitResponse.FromString(encoded(None)).overall_code == OK


def check(*, hits: int = 1, key: str = "", units: dict[str, int] | None = None) -> Check:
    return Check(customer="acme", app="chat", hits=hits, key=key, request="7f0c", units=units or {})
