"""A replica takes its capacity and times from its environment where no option says otherwise."""

import os
import subprocess
import sys

import httpx
import pytest

from midstage.local import ports
from midstage.testkit.waiting import within
from tests import patient

pytestmark = pytest.mark.slow
COMMAND = (sys.executable, "-m", "midstage.local.replica")


def answers(base: str) -> bool:
    try:
        return patient.get(f"{base}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_the_environment_sets_what_no_option_does() -> None:
    (port,) = ports.found(1)
    env = {
        "MIDSTAGE_REPLICA_SLOTS": "3",
        "MIDSTAGE_REPLICA_QUEUE": "5",
        "MIDSTAGE_REPLICA_COLD_START_S": "0",
        "MIDSTAGE_REPLICA_GRACE_S": "",
        "MIDSTAGE_SPEED": "8",
    }
    base = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [*COMMAND, "--port", str(port), "--queue", "7"], env={**os.environ, **env}
    )
    try:
        within(60, lambda: answers(base))
        stats = patient.get(f"{base}/stats", trust_env=False).json()
    finally:
        process.kill()
        process.wait()
    assert (stats["slots"], stats["queue"]) == (3, 7)


def test_a_bad_value_is_refused_with_the_options_name() -> None:
    env = {**os.environ, "MIDSTAGE_REPLICA_SLOTS": "0"}
    refused = subprocess.run(
        [*COMMAND, "--port", "1"], env=env, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "--slots: 0 is below 1" in refused.stderr
