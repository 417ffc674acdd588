"""The parts of the local cluster that touch the machine: nodes file, commands, probes, logs."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.cluster.objects import Template
from midstage.contracts.apps import Probe
from midstage.contracts.cluster import Amount, Taint
from midstage.local import ports
from midstage.local.cluster import nodes
from midstage.local.errors import PlatformError
from midstage.local.pods.images import STAND_IN, UnknownImageError, expanded, program
from midstage.local.pods.podlogs import PodLogs
from midstage.local.pods.probes import Verdict, asked


def test_the_shipped_nodes_are_cpu_gpu_and_one_tainted() -> None:
    shipped = {node.name: node for node in nodes.read(nodes.DEFAULT)}
    assert set(shipped) == {"cpu-1", "cpu-2", "gpu-1", "gpu-2"}
    assert {shipped[name].labels["midstage.dev/pool"] for name in ("gpu-1", "gpu-2")} == {"gpu"}
    assert shipped["gpu-1"].capacity.gpus == 2
    assert [node.name for node in shipped.values() if node.taints] == ["gpu-2"]


@pytest.mark.parametrize("name", ["nodes.yaml", "nodes.json"])
def test_a_nodes_file_is_yaml_or_json(tmp_path: Path, name: str) -> None:
    text = {
        "nodes.yaml": "nodes:\n- {name: a, cpu: 2, memory_mb: 10, taints: [{key: k, value: v}]}",
        "nodes.json": '{"nodes":[{"name":"a","cpu":2,"memory_mb":10,'
        '"taints":[{"key":"k","value":"v"}]}]}',
    }[name]
    (tmp_path / name).write_text(text)
    (node,) = nodes.read(tmp_path / name)
    assert (node.name, node.capacity) == ("a", Amount(cpu=2, memory_mb=10))
    assert node.taints == (Taint(key="k", value="v"),)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("nodes: []", "$.nodes"),
        ("nodes: [{name: a, cpu: 0, memory_mb: 1}]", "$.nodes[0].cpu"),
        ("nodes: [{name: a, cpu: .inf, memory_mb: 1}]", "$.nodes[0].cpu"),
        ("nodes: [{name: a, cpu: 1, memory_mb: 1.5}]", "$.nodes[0].memory_mb"),
        ("nodes: [{name: a, cpu: 1}]", "memory_mb"),
        ("nodes: [{name: a, cpu: 1, memory_mb: 1, disk: 3}]", "disk"),
        ("nodes: [{name: A b, cpu: 1, memory_mb: 1}]", "$.nodes[0].name"),
        ("nodes: [{name: a, cpu: 1, memory_mb: 1}, {name: a, cpu: 1, memory_mb: 1}]", "a is in"),
        ("nodes: [", "while parsing"),
        ("", "object"),
        ("\x00", "special characters"),
    ],
)
def test_a_bad_nodes_file_is_refused_with_its_path_and_fault(
    tmp_path: Path, text: str, fault: str
) -> None:
    file = tmp_path / "nodes.yaml"
    file.write_text(text)
    with pytest.raises(PlatformError) as refused:
        nodes.read(file)
    assert str(file) in str(refused.value)
    assert fault in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_nodes_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="No such file"):
        nodes.read(tmp_path / "none")


def test_variables_are_expanded_as_kubernetes_does() -> None:
    env = {"A": "1", "B": "$(A)"}
    for text, said in [
        ("$(A)", "1"),
        ("x$(A)y$(A)", "x1y1"),
        ("$(NOBODY)", "$(NOBODY)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(B)", "$(A)"),
        ("$A ${A} $(A", "$A ${A} $(A"),
        ("$()", "$()"),
    ]:
        assert expanded(text, env) == said


@pytest.mark.slow
@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="$")))
def test_what_names_no_variable_stays(text: str) -> None:
    assert expanded(text, {"A": "1"}) == text


def test_an_image_is_a_command_and_a_command_goes_before_it() -> None:
    own = {"PORT": "8000"}
    stand_in = program(Template(image=STAND_IN), own)
    assert stand_in.command[:3] == [sys.executable, "-m", "midstage.local.replica"]
    assert stand_in.command[-2:] == ["--port", "8000"]
    assert program(Template(image=STAND_IN, command=("x", "$(PORT)")), own).command == ["x", "8000"]
    with pytest.raises(UnknownImageError, match=f"image a/b:1 is not known.*{STAND_IN}"):
        program(Template(image="a/b:1"), own)


def test_arguments_follow_the_command_or_the_images_own() -> None:
    args = ("--model", "$(MODEL)")
    env = {"MODEL": "large"}
    own = program(Template(command=("serve",), args=args, env=env), {})
    assert own.command == ["serve", "--model", "large"]
    images = program(Template(image=STAND_IN, args=args, env=env), {"PORT": "1"})
    assert images.command[-3:] == ["1", "--model", "large"]


def test_a_pods_own_variables_can_not_be_set_by_its_template() -> None:
    template = Template(
        command=("x",), env={"PORT": "1", "URL": "http://$(PORT)", "ALSO": "$(URL)"}
    )
    env = program(template, {"PORT": "8000"}).env
    assert (env["PORT"], env["URL"], env["ALSO"]) == ("8000", "http://8000", "http://8000")


def test_a_verdict_falls_after_failures_in_a_row_and_one_success_mends_it() -> None:
    probe, verdict, heard = Probe(failures=3), Verdict(good=False), []
    for fault in [None, "x", "x", None, "x", "x", "x", "x", None]:
        verdict = verdict.after(fault, probe)
        heard.append(verdict.good)
    assert heard == [True, True, True, True, True, True, False, False, True]


async def _served(answer: bytes, probe: Probe, *, waits: float = 0) -> tuple[str | None, bytes]:
    got = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend(await reader.readuntil(b"\r\n\r\n"))
        await asyncio.sleep(waits)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await asked(probe, port=port), bytes(got)


def run(work: Callable[[], Awaitable[tuple[str | None, bytes]]]) -> tuple[str | None, bytes]:
    async def inner() -> tuple[str | None, bytes]:
        return await work()

    return asyncio.run(inner())


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", None),
        (b"HTTP/1.0 302 Found\r\n\r\n", None),
        (b"HTTP/1.1 503 No\r\n\r\n", "GET /readyz answers 503"),
        (b"SSH-2.0\r\n", "GET /readyz: it does not answer in HTTP"),
        (b"", "GET /readyz: it does not answer in HTTP"),
        (b"x" * 100_000, "GET /readyz: "),
    ],
)
def test_a_probe_reads_the_status_and_says_what_is_wrong(answer: bytes, fault: str | None) -> None:
    said, _ = run(lambda: _served(answer, Probe(timeout_s=60)))
    assert said == fault or (fault is not None and said is not None and said.startswith(fault))


def test_a_probe_waits_no_longer_than_its_timeout() -> None:
    said, _ = run(lambda: _served(b"", Probe(timeout_s=0.05), waits=0.2))
    assert said == "GET /readyz: no answer within 0.05 s"


def test_a_probe_of_nobody_fails() -> None:
    said = asyncio.run(asked(Probe(), port=ports.found(1)[0]))
    assert said is not None
    assert said.startswith("GET /readyz: ")


def test_a_path_can_not_smuggle_a_header() -> None:
    probe = Probe(path="/a b?c=d\r\nX-Evil: 1", timeout_s=60)
    _, got = run(lambda: _served(b"HTTP/1.1 200\r\n\r\n", probe))
    assert got.startswith(b"GET /a%20b?c=d%0D%0AX-Evil:%201 HTTP/1.1\r\n")


async def _read(logs: PodLogs, run: int, tail: int | None = None) -> bytes:
    return b"".join(
        [each async for each in logs.written("p", run, tail=tail, goes_on=lambda: False)]
    )


def test_each_run_has_a_log_of_its_own(tmp_path: Path) -> None:
    logs = PodLogs(tmp_path)
    assert logs.run("p") == 0
    logs.begin("p").write_bytes(b"one\n")
    logs.begin("p").write_bytes(b"two\nthree\nfour")
    assert logs.run("p") == 2
    assert asyncio.run(_read(logs, 1)) == b"one\n"
    assert asyncio.run(_read(logs, 2)) == b"two\nthree\nfour"
    assert asyncio.run(_read(logs, 2, tail=2)) == b"three\nfour"
    assert asyncio.run(_read(logs, 2, tail=0)) == b""
    assert asyncio.run(_read(logs, 3)) == b""
    assert logs.last_lines("p") == "\n  two\n  three\n  four"


def test_a_log_that_grows_too_long_begins_anew(tmp_path: Path) -> None:
    logs = PodLogs(tmp_path, most_bytes=10)
    with logs.begin("p").open("ab", buffering=0) as writing:
        writing.write(b"x" * 10)
        logs.trim("p")
        assert asyncio.run(_read(logs, 1)) == b"x" * 10
        writing.write(b"y")
        logs.trim("p")
        writing.write(b"z")
    assert asyncio.run(_read(logs, 1)) == b"z"
    logs.trim("nobody")


def test_logs_of_pods_that_are_gone_are_kept_for_a_while(tmp_path: Path) -> None:
    logs = PodLogs(tmp_path, kept=3)
    for number in range(5):
        file = logs.begin(f"pod-{number}")
        file.write_bytes(b"x")
        os.utime(file, (number, number))
        logs.gone(f"pod-{number}")
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "pod-2.1.log",
        "pod-3.1.log",
        "pod-4.1.log",
    ]
