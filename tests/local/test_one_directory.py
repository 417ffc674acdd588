import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from midstage.local import addresses, apps, keyfiles, ports
from midstage.local.errors import PlatformError
from midstage.local.holding import held
from midstage.local.lastwords import last_words
from midstage.local.layout import Layout

HOLDER = """
import sys
from pathlib import Path
from midstage.local.holding import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_is_told_the_pid_of_the_first(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    told = pytest.raises(PlatformError, match=f"the process with pid {os.getpid()}:")
    with held(lock), told, held(lock):
        pytest.fail("two processes hold one folder")


@pytest.mark.slow
def test_the_lock_of_a_killed_holder_is_free(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(PlatformError, match=f"pid {holder.pid}:"), held(lock):
        pytest.fail("two processes hold one folder")
    holder.kill()
    holder.communicate()
    with held(lock):
        assert lock.read_text() == f"{os.getpid()}\n"


def test_the_next_run_takes_the_same_ports(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = addresses.settled(file, ["kafka", "stats"])
    assert addresses.settled(file, ["kafka", "stats"]) == first


def test_a_port_that_was_taken_meanwhile_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = addresses.settled(file, ["kafka", "stats"])
    with socket.create_server((ports.LOOPBACK, first["stats"])):
        second = addresses.settled(file, ["kafka", "stats", "replica-chat-1"])
    assert second["kafka"] == first["kafka"]
    assert second["stats"] != first["stats"]
    assert len(set(second.values())) == 3


def test_secrets_are_for_their_owner_alone_and_stay_from_run_to_run(tmp_path: Path) -> None:
    layout = Layout(root=tmp_path / "platform")
    layout.make()
    token = keyfiles.ensure(layout, edge="edge-1")
    files = (layout.token, layout.api_keys, layout.edge_keys)
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
    before = [file.read_bytes() for file in files]
    assert keyfiles.ensure(layout, edge="edge-1") == token
    assert [file.read_bytes() for file in files] == before
    edge_keys = msgspec.json.decode(layout.edge_keys.read_bytes(), type=dict[str, str])
    assert len(bytes.fromhex(edge_keys["edge-1"])) == 32


@pytest.mark.parametrize(("app", "on_failure"), [("chat", "open"), ("code", "closed")])
def test_an_application_is_asked_for_as_a_person_would(app: str, on_failure: str) -> None:
    spec = apps.spec(app, replicas=3)
    assert (spec.routes.prefix, spec.routes.on_throttle_failure.value) == (f"/{app}", on_failure)
    assert spec.scaling is not None
    assert spec.scaling.min <= spec.replicas == 3 <= spec.scaling.max
    assert apps.spec(app, replicas=1).scaling != spec.scaling


def test_last_words_are_the_end_of_the_log_in_short(tmp_path: Path) -> None:
    log = tmp_path / "stats.log"
    log.write_text(
        "old\n" * 10
        + "Traceback\n"
        + '{"time":"t","event":"crashed","error":"the ledger\\nis held","traceback":"long"}\n'
    )
    assert last_words(log).splitlines() == [
        f"see {log}",
        "  old",
        "  old",
        "  old",
        "  Traceback",
        "  crashed: the ledger is held",
    ]


def test_a_log_that_was_never_written_is_empty(tmp_path: Path) -> None:
    assert last_words(tmp_path / "stats.log") == f"{tmp_path / 'stats.log'} is empty"
