"""A real Apache Kafka: one node that is broker and controller, on loopback, data in one folder.

A record is acknowledged once it stands in the file system's cache. That outlives ``kill -9`` of
the process (the kernel writes it out), so no flush per record is needed; only a crash of the
machine could lose acknowledged records, which replication covers in production.
"""

import contextlib
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from midstage.contracts.topics import DEAD_LETTER_BYTES
from midstage.local import fetch, jars, java
from midstage.local.errors import PlatformError
from midstage.local.jars import nothing_said
from midstage.local.leash import leashed
from midstage.local.ports import LOOPBACK, found

READY_WITHIN_S = 120.0
_STOPPED_WITHIN_S = 10.0
_WARMED_WITHIN_S = 900.0
_ASCII = 128


def fetched(*, say: Callable[[str], None] = nothing_said) -> list[str]:
    """The Java command that takes a program of Kafka; fetched and warmed up at its first use."""
    plain = java.command(jars.fetched(say=say))
    return java.warmed(plain, name=fetch.digest(jars.LOCK)[:12], warm=_warm, say=say)


def prepare(
    directory: Path, *, port: int, controller_port: int, program: Sequence[str] = ()
) -> list[str]:
    """Write the settings, format the storage at its first use; the command that runs the broker.

    ``program`` is the Java command, if not the usual one.
    """
    program = program or fetched()
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "server.properties"
    settings = _settings(directory / "data", port=port, controller_port=controller_port)
    lines = (f"{name}={_escaped(str(value))}\n" for name, value in settings.items())
    file.write_text("".join(lines), encoding="ascii")
    if not (directory / "data" / "meta.properties").exists():
        _format(file, program)
    return [*program, "kafka.Kafka", str(file)]


def unready(bootstrap: str) -> str | None:
    """Why the broker can't be used yet; None once it answers for itself and the controller."""
    try:
        cluster = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        known = cluster.list_topics(timeout=2.0)
    except KafkaException as e:
        return f"Kafka does not answer on {bootstrap}: {e.args[0].str()}"
    return None if known.brokers else f"Kafka on {bootstrap} knows of no broker yet"


@contextlib.contextmanager
def running_kafka(
    directory: Path, *, program: Sequence[str] = (), stopped_within_s: float = _STOPPED_WITHIN_S
) -> Iterator[str]:
    """A broker of one's own for as long as the block runs; its address."""
    port, controller_port = found(2)
    command = prepare(directory, port=port, controller_port=controller_port, program=program)
    bootstrap = f"{LOOPBACK}:{port}"
    log = directory / "kafka.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            leashed(command), stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait(process, bootstrap=bootstrap, log=log)
        yield bootstrap
    finally:
        process.terminate()
        try:
            process.wait(timeout=stopped_within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _settings(data: Path, *, port: int, controller_port: int) -> Mapping[str, str | int]:
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data.absolute()),
        "auto.create.topics.enable": "false",
        "message.max.bytes": DEAD_LETTER_BYTES + 64 * 1024,
        # after kill -9 the controller keeps the dead broker's place until its session ends
        "broker.session.timeout.ms": 3_000,
        "broker.heartbeat.interval.ms": 500,
        "group.initial.rebalance.delay.ms": 0,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    }


def _escaped(value: str) -> str:
    """A value as java.util.Properties reads it, which takes a file's bytes for Latin-1."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    pairs = (units[at] * 256 + units[at + 1] for at in range(0, len(units), 2))
    return "".join(chr(unit) if unit < _ASCII else f"\\u{unit:04x}" for unit in pairs)


def _warm(program: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as aside:
        port, controller_port = found(2)
        plain = java.command(jars.fetched())  # the broker alone is to leave its classes
        prepare(Path(aside), port=port, controller_port=controller_port, program=plain)
        with running_kafka(Path(aside), program=program, stopped_within_s=_WARMED_WITHIN_S):
            pass


def _format(file: Path, program: Sequence[str]) -> None:
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}"]  # it may begin with -
    done = subprocess.run(
        leashed([*program, *tool, "-c", str(file)]),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PlatformError(
            f"Kafka could not format {file.parent}: {(done.stderr or done.stdout).strip()[-400:]}"
        )


def _wait(process: "subprocess.Popen[bytes]", *, bootstrap: str, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while (reason := unready(bootstrap)) is not None:
        if process.poll() is not None:
            raise PlatformError(f"Kafka ended with {process.returncode}: see {log}")
        if time.monotonic() > deadline:
            raise PlatformError(f"{reason} after {READY_WITHIN_S:.0f} s: see {log}")
        time.sleep(0.1)
