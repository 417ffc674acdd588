"""Any request that the APIs' own descriptions allow, and many that they don't, gets an answer."""

import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path

import pytest

from midstage.local import apps
from midstage.local.platform import Platform
from midstage.testkit.waiting import within
from tests import patient

from .evidence import ready
from .loop import READY_S, delete, deployed, put

SERVICES = ("stats", "throttle", "gateway", "control", "hpa", "deploy", "data")
STREAMING = "control"
"""Its streams have no end: each is read for as long as an answer may take."""
pytestmark = [pytest.mark.platform, pytest.mark.slow]
TRIES = 3
"""A log beside other jobs may be slow (503) for some request; what fails each time is a fault."""


@pytest.mark.parametrize("service", SERVICES)
def test_no_request_makes_a_service_fail(platform: Platform, service: str, tmp_path: Path) -> None:
    base = getattr(platform.addresses, service)
    restarts = platform.restarts.get(service, 0)
    held = limits(platform)
    for _ in range(TRIES):
        within_s = 10.0 if service == STREAMING else patient.ANSWER_WITHIN_S
        done = asked_for_anything(platform, base, at=tmp_path, within_s=within_s)
        if "[503]" not in done.stdout:
            break
    assert done.returncode == 0, done.stdout[-4000:]
    within(60, lambda: ready(base))  # all that work may have held it up
    assert platform.restarts.get(service, 0) == restarts
    lift(platform, limits(platform) - held)
    if service == "control":
        let_nodes_take_pods(platform)
    if service == "deploy":
        undo_what_was_asked_for(platform)


def asked_for_anything(
    platform: Platform, base: str, *, at: Path, within_s: float
) -> "subprocess.CompletedProcess[str]":
    """What schemathesis says of a service, run in the folder ``at``."""
    return subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "run", f"{base}/openapi.json",
            "--header", f"Authorization: Bearer {platform.token}",
            "--checks", "not_a_server_error,content_type_conformance",
            "--max-examples", "10", "--seed", "1", "--phases", "examples,coverage,fuzzing",
            "--suppress-health-check", "all", "--request-timeout", str(within_s),
        ],
        cwd=at,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


def limits(platform: Platform) -> set[str]:
    told = patient.get(f"{platform.addresses.throttle}/v1/limits").raise_for_status().json()
    return {each["limit"] for each in told["limits"]}


def lift(platform: Platform, names: set[str]) -> None:
    """Whoever asks for anything also asks that everybody's requests be refused."""
    for name in names:
        url = f"{platform.addresses.throttle}/v1/limits/{name}"
        named = {"authorization": f"Bearer {platform.token}", "idempotency-key": uuid.uuid4().hex}
        asked = patient.answered(partial(patient.delete, url, headers=named))
        assert asked.is_success, asked.text


def let_nodes_take_pods(platform: Platform) -> None:
    """Whoever asks for anything also asks that nodes take no pods any more."""
    control, token = platform.addresses.control, platform.token
    for node in patient.get(f"{control}/v1/nodes").raise_for_status().json()["nodes"]:
        url = f"{control}/v1/nodes/{node['name']}/cordoned"
        named = {"authorization": f"Bearer {token}"}
        asked = patient.answered(partial(patient.put, url, json={"on": False}, headers=named))
        assert asked.is_success, asked.text


def undo_what_was_asked_for(platform: Platform) -> None:
    """Whoever asks for anything also asks that ``chat`` goes, and for applications of no use."""
    apps_now = patient.get(f"{platform.addresses.deploy}/v1/apps").raise_for_status().json()["apps"]
    for app in apps_now:
        if app["app"] != "chat":
            delete(platform, app["app"])
    put(platform, "chat", apps.spec("chat", replicas=3))
    within(
        READY_S, lambda: (chat := deployed(platform, "chat")) and chat.status.ready >= apps.LEAST
    )


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_says_how_it_is(platform: Platform, service: str) -> None:
    base = getattr(platform.addresses, service)
    assert patient.get(f"{base}/healthz").status_code == 200
    assert f"midstage_{service}_" in patient.get(f"{base}/metrics").text
    known = {"authorization": f"Bearer {platform.token}"}
    lost = patient.get(f"{base}/v1/nowhere", headers=known)
    assert (lost.status_code, lost.headers["content-type"]) == (404, "application/problem+json")


def test_a_change_without_the_token_is_refused(platform: Platform) -> None:
    limit = {"customer": "mallory", "app": "*", "amount": 10**6, "algorithm": {"kind": "lifetime"}}
    url = f"{platform.addresses.throttle}/v1/limits/mine"
    assert patient.put(url, json=limit).status_code == 401
    assert patient.get(url).status_code == 404
