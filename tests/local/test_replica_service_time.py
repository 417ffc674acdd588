import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.local.replica.service_time import WRITE_EVERY_S, ServiceTime

speeds = st.floats(min_value=0.1, max_value=1000)
prompts = st.integers(min_value=0, max_value=32_000)


def test_figures_are_those_that_were_measured() -> None:
    real = ServiceTime()
    assert real.first_token_s(1020) == pytest.approx(0.084, abs=0.001)
    assert real.first_token_s(1500) == pytest.approx(0.096, abs=0.001)
    assert real.due_s(1020, 101) - real.due_s(1020, 1) == pytest.approx(2.8)


@given(speed=speeds, prompt=prompts, token=st.integers(min_value=1, max_value=2000))
def test_the_speed_divides_every_time(speed: float, prompt: int, token: int) -> None:
    scaled = ServiceTime(speed=speed).due_s(prompt, token)
    assert scaled == pytest.approx(ServiceTime().due_s(prompt, token) / speed)


@given(speed=speeds, prompt=prompts, token=st.integers(min_value=1, max_value=2000))
def test_a_token_is_due_at_its_time_and_not_before(speed: float, prompt: int, token: int) -> None:
    service = ServiceTime(speed=speed)
    at = service.due_s(prompt, token)
    assert service.due(prompt, at) == token
    assert service.due(prompt, at - 0.001 * (0.028 / speed)) == token - 1


@given(speed=speeds)
def test_tokens_wait_for_each_other_no_longer_than_a_write(speed: float) -> None:
    service = ServiceTime(speed=speed)
    last = service.due_s(0, service.tokens_a_write)
    assert last - service.due_s(0, 1) <= WRITE_EVERY_S


@pytest.mark.parametrize("speed", [0, -1, math.nan, math.inf])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="not a positive number"):
        ServiceTime(speed=speed)
