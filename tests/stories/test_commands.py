"""A command whose process dies between append and read-back is answered by its id."""

import uuid

import httpx
import pytest

from midstage.local.platform import Platform
from midstage.testkit.waiting import within
from tests import patient

from .evidence import Orders, ready

pytestmark = [pytest.mark.platform, pytest.mark.slow]

LIMIT = {
    "customer": "acme",
    "app": "ocr",
    "amount": 5,
    "algorithm": {"kind": "token_bucket", "period_s": 1.0, "burst": 10},
    "why": "a story",
}


def put(platform: Platform, name: str, command: str, **changed: object) -> httpx.Response:
    return patient.put(
        f"{platform.addresses.throttle}/v1/limits/{name}",
        json={**LIMIT, **changed},
        headers={"Authorization": f"Bearer {platform.token}", "Idempotency-Key": command},
    )


def test_a_command_whose_writer_died_after_the_append_took_effect_once(
    platform: Platform, orders: Orders
) -> None:
    orders("throttle", "append:sent")
    found = within(60, lambda: killed_by(platform))
    assert found
    name, command = found
    assert not orders.left("throttle")
    within(60, lambda: ready(platform.addresses.throttle))

    asked = patient.get(f"{platform.addresses.throttle}/v1/commands/{command}")
    assert (asked.status_code, asked.json()["version"]) == (200, 1)
    again = patient.answered(lambda: put(platform, name, command))
    assert (again.status_code, again.json()["version"], again.json()["repeated"]) == (200, 1, True)
    other = patient.answered(lambda: put(platform, name, command, amount=11))
    assert other.status_code == 409
    change = uuid.uuid4().hex
    changed = patient.answered(lambda: put(platform, name, change, amount=11))
    assert changed.json()["version"] == 2


def killed_by(platform: Platform) -> tuple[str, str] | tuple[()]:
    """The limit and the command of which throttle died; none where its log was too slow (503)."""
    name, command = f"story-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    try:
        answer = put(platform, name, command)
    except httpx.TransportError:
        return name, command
    assert answer.status_code == 503, answer.text
    return ()
