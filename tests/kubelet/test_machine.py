"""What the kubelet does on this machine without a cluster: volumes, checks, quantities, metrics."""

import asyncio
import os
import ssl
import stat
import threading
from datetime import UTC, datetime
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.cluster.kubernetes.connection import Connection
from midstage.contracts.cluster import Amount
from midstage.local import ports
from midstage.local.kubelet import certificate
from midstage.local.kubelet.amounts import number, requested, resources
from midstage.local.kubelet.checks import Beside
from midstage.local.kubelet.metrics import Metrics, SelectorError
from midstage.local.kubelet.programs import ConfigError, Contents
from midstage.local.kubelet.shapes import Handler, Meta, Probe, Sleep, TokenSource
from midstage.local.kubelet.tokens import Token
from midstage.local.kubelet.volumes import account, laid_out
from midstage.local.kubelet.watching import Changed, Heard, Listed, Watching, lines
from midstage.local.pods.usage import Meter

from .test_programs import pod

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
CONTENTS = Contents(
    secrets={"s": {"token": b"t"}},
    configs={"c": {"a.txt": b"A", "b.txt": b"B"}},
    tokens={TokenSource(path="token"): Token(text=b"signed", asked_at=NOON, expires_at=NOON)},
)


def mounted(folder: Path, mounts: object, *volumes: object) -> Path:
    container = {"name": "main", "volumeMounts": mounts}
    return laid_out(folder, pod(container, volumes=volumes), CONTENTS, pod_ip="127.0.0.9")


def mount(path: str, **more: object) -> object:
    return {"name": "v", "mountPath": path, **more}


def test_a_mount_path_leads_to_its_volume_below_the_mounts(tmp_path: Path) -> None:
    mounts = mounted(tmp_path, [mount("/etc/keys")], {"name": "v", "secret": {"secretName": "s"}})
    file = mounts / "etc/keys/token"
    assert file.read_bytes() == b"t"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_items_choose_and_name_the_files(tmp_path: Path) -> None:
    volume = {"name": "v", "configMap": {"name": "c", "items": [{"key": "a.txt", "path": "d/x"}]}}
    folder = mounted(tmp_path, [mount("/m")], volume) / "m"
    assert [each.name for each in folder.rglob("*") if each.is_file()] == ["x"]
    one = mounted(tmp_path, [mount("/one", subPath="d/x")], volume) / "one"
    assert one.read_bytes() == b"A"


def test_a_projected_volume_has_the_files_of_all_its_sources(tmp_path: Path) -> None:
    namespace = {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "c", "items": [{"key": "a.txt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
        {"secret": {"name": "s", "items": [{"key": "token", "path": "own/key"}]}},
    ]
    at = "/var/run/secrets/kubernetes.io/serviceaccount"
    mounts = mounted(tmp_path, [mount(at)], {"name": "v", "projected": {"sources": sources}})
    folder = account(mounts)
    assert folder is not None
    files = {str(f.relative_to(folder)): f for f in folder.rglob("*") if f.is_file()}
    assert {name: file.read_text() for name, file in files.items()} == {
        **{"token": "signed", "ca.crt": "A", "namespace": "n", "own/key": "t"}
    }
    assert account(mounted(tmp_path, [], {"name": "v", "emptyDir": {}})) is None


def test_scratch_outlives_a_restart_of_the_container_and_contents_are_new(tmp_path: Path) -> None:
    mounts = mounted(tmp_path, [mount("/s")], {"name": "v", "emptyDir": {"sizeLimit": "1Mi"}})
    (mounts / "s/kept").write_text("x")
    again = mounted(tmp_path, [mount("/s")], {"name": "v", "emptyDir": {}})
    assert (again / "s/kept").read_text() == "x"


@pytest.mark.parametrize(
    ("mounts", "volume", "fault"),
    [
        ([mount("/m")], {"name": "v", "secret": {"secretName": "none"}}, 'secret "none" not found'),
        ([mount("/m")], {"name": "v", "hostPath": {"path": "/"}}, "kind of volume v"),
        ([mount("/m")], {"name": "v", "projected": {"sources": [{"x": {}}]}}, "a source of a proj"),
        ([mount("/../m")], {"name": "v", "emptyDir": {}}, "leads out"),
        ([mount("/m", subPath="../../x")], {"name": "v", "emptyDir": {}}, "leads out"),
        ([mount("/m"), mount("/m")], {"name": "v", "emptyDir": {}}, "inside of another"),
        ([{"name": "w", "mountPath": "/m"}], {"name": "v", "emptyDir": {}}, "no volume w"),
        (
            [mount("/m")],
            {"name": "v", "configMap": {"name": "c", "items": [{"key": "z", "path": "z"}]}},
            "non-existent key: z",
        ),
        (
            [mount("/m")],
            {"name": "v", "configMap": {"name": "c", "items": [{"key": "a.txt", "path": "../z"}]}},
            "leads out",
        ),
    ],
)
def test_a_volume_that_can_not_be_made_says_why(
    tmp_path: Path, mounts: object, volume: object, fault: str
) -> None:
    with pytest.raises(ConfigError, match=fault):
        mounted(tmp_path, mounts, volume)
    assert not (tmp_path.parent / "z").exists()


def asked(folder: Path, probe: object, *, port: int = 0) -> str | None:
    beside = Beside(env={**os.environ, "WORD": "well"}, port=port, folder=folder)
    return asyncio.run(_once(beside, msgspec.convert(probe, Probe)))


async def _once(beside: Beside, probe: Probe) -> str | None:
    return await beside.ask(probe, kind="test")()


def script(text: str, *, within_s: int = 60) -> object:
    return {"exec": {"command": ["/bin/sh", "-c", text]}, "timeoutSeconds": within_s}


@pytest.mark.slow
def test_a_check_is_a_command_beside_the_process_with_its_environment(tmp_path: Path) -> None:
    assert asked(tmp_path, script('test "$WORD" = well')) is None
    assert asked(tmp_path, script("echo not yet; exit 3")) == "command ended with 3: not yet"
    said = asked(tmp_path, script("sleep 60", within_s=1))
    assert said == "command did not end within 1 s"
    nothing = {"command": ["/does/not/exist"]}
    missing = asked(tmp_path, {"exec": nothing, "timeoutSeconds": 60})
    assert missing is not None
    assert "can't run /does/not/exist" in missing


def test_nobody_listens_and_no_kind_are_failures(tmp_path: Path) -> None:
    (port,) = ports.found(1)
    said = asked(tmp_path, {"tcpSocket": {"port": 1}}, port=port)
    assert said is not None
    assert said.startswith("nobody listens")
    assert asked(tmp_path, {"grpc": {"port": 1}}) is not None


def test_a_pre_stop_sleeps_no_longer_than_the_grace(tmp_path: Path) -> None:
    beside = Beside(env={}, port=0, folder=tmp_path)
    handler = Handler(sleep=Sleep(seconds=3600))
    assert asyncio.run(beside.before_stop(handler, within_s=0.01)) is None


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("1", 1),
        ("100m", Fraction(1, 10)),
        ("0.5", Fraction(1, 2)),
        ("16Mi", 16 * 1024**2),
        ("1Gi", 1024**3),
        ("2k", 2000),
        ("1e3", 1000),
        ("5n", Fraction(5, 10**9)),
        ("-1", -1),
    ],
)
def test_quantities_are_numbers(quantity: str, value: Fraction | int) -> None:
    assert number(quantity) == value


@pytest.mark.parametrize("text", ["", "x", "1 Mi", "Mi", "1KB"])
def test_other_words_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        number(text)


@given(st.integers(1, 10_000), st.integers(1, 10_000_000), st.integers(0, 16))
def test_a_nodes_room_is_said_as_quantities(millis: int, mb: int, gpus: int) -> None:
    said = resources(Amount(cpu=millis / 1000, memory_mb=mb, gpus=gpus), pods=10)
    assert number(said["cpu"]) == Fraction(millis, 1000)
    assert number(said["memory"]) == mb * 1024**2
    assert number(said["nvidia.com/gpu"]) == gpus


def test_what_pods_ask_for_is_added() -> None:
    asks = {"cpu": "250m", "memory": "100M", "nvidia.com/gpu": "1"}
    one = pod({"name": "main", "resources": {"requests": asks}})
    assert requested([one, one, pod({"name": "main"})]) == Amount(cpu=0.5, memory_mb=191, gpus=2)


def measured(*, selector: str = "", namespace: str | None = None) -> list[object]:
    meter = Meter(pids=lambda: {"u": os.getpid()})
    for at in (0.0, 1.0):
        meter.look(at)
    unknown = msgspec.structs.replace(pod({"name": "main"}), metadata=_meta("unknown"))
    metrics = Metrics(
        meter=meter,
        nodes=lambda: ["plain"],
        pods=lambda: [pod({"name": "main"}), unknown],
        now=lambda: NOON,
    )
    items = metrics.of_pods(namespace=namespace, selector=selector)["items"]
    assert isinstance(items, list)
    return items


def _meta(name: str) -> Meta:
    return msgspec.structs.replace(pod({"name": "main"}).metadata, name=name, uid=name)


def test_only_what_was_measured_is_told() -> None:
    (item,) = msgspec.convert(measured(), list[dict[str, object]])
    assert item["timestamp"] == "2026-11-26T12:00:00Z"
    (container,) = msgspec.convert(item["containers"], list[dict[str, dict[str, str] | str]])
    usage = container["usage"]
    assert isinstance(usage, dict)
    assert number(usage["memory"]) > 1024**2
    assert number(usage["cpu"]) >= 0


def test_metrics_are_narrowed_by_namespace_and_labels() -> None:
    assert len(measured(namespace="n", selector="midstage.dev/app=chat")) == 1
    assert measured(namespace="other") == []
    assert measured(selector="midstage.dev/app==ocr") == []
    for strange in ("app", "app!=x", "app in (a)"):
        with pytest.raises(SelectorError):
            measured(selector=strange)


@given(st.lists(st.binary().map(lambda each: each.replace(b"\n", b"")), max_size=9), st.data())
def test_lines_come_whole_however_they_were_cut(texts: list[bytes], data: st.DataObject) -> None:
    body = b"".join(text + b"\n" for text in texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert list(lines(pieces)) == [text for text in texts if text.strip()]


def test_a_certificate_is_new_and_its_key_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "kubelet.pem"
    certificate.write(file, now=NOON)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    certificate.write(file, now=NOON)
    assert file.read_bytes() != before
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)


class Api(BaseHTTPRequestHandler):
    """Answers a list of pods of which one makes no sense, and a watch with another such."""

    def do_GET(self) -> None:
        strange = {"metadata": {"name": 7, "resourceVersion": "8"}}
        fine = {"metadata": {"name": "fine", "resourceVersion": "9"}, "spec": {}}
        if "watch=true" in self.path:
            events = [{"type": "MODIFIED", "object": each} for each in (strange, fine)]
            body = b"".join(msgspec.json.encode(each) + b"\n" for each in events)
        else:
            listing = {"metadata": {"resourceVersion": "5"}, "items": [strange, fine]}
            body = msgspec.json.encode(listing)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
        pass


def test_a_pod_that_makes_no_sense_hides_no_other(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kubeconfig = tmp_path / "kubeconfig"
        url = f"http://127.0.0.1:{server.server_port}"
        kubeconfig.write_bytes(
            msgspec.json.encode(
                {
                    "current-context": "c",
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                    "clusters": [{"name": "c", "cluster": {"server": url}}],
                    "users": [{"name": "u", "user": {}}],
                }
            )
        )
        heard: list[Heard] = []
        stop = threading.Event()

        def hear(what: Heard) -> None:
            heard.append(what)
            if isinstance(what, Changed):
                stop.set()

        connection = Connection(name="test", where=f"kubeconfig:{kubeconfig}")
        Watching(connection, hear=hear).run(stop)
        server.shutdown()
    listed, changed = heard
    assert isinstance(listed, Listed)
    assert [each.metadata.name for each in listed.pods] == ["fine"]
    assert isinstance(changed, Changed)
    assert changed.pod.metadata.name == "fine"
