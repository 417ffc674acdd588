"""GPUs as DCGM's exporter tells of them: a page as it is served, over real HTTP."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from midstage.cluster.memory import MemoryCluster
from midstage.control.adapters.dcgm import Dcgm, read
from midstage.control.model import GpuUse
from midstage.testkit.waiting import within
from tests.control.conftest import Pair, running, settings_in
from tests.ports import free_port

PAGE = Path(__file__).with_name("dcgm.prom").read_text()
USES = [
    GpuUse(
        node="gpu-1",
        share=0.87,
        memory_mb=61_324.0,
        memory_total_mb=81_000.0,
        namespace="default",
        pod="chat-abc-1",
    ),
    GpuUse(node="gpu-1", share=0.0, memory_mb=0.0),
    GpuUse(
        node="gpu-1",
        memory_mb=2_500.0,
        memory_total_mb=9_728.0,
        namespace="default",
        pod="chat-abc-2",
    ),
]


@contextmanager
def serving(page: str, *, status: int = 200) -> Iterator[str]:
    """An exporter that answers with ``page``; its URL."""

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.encode()
            self.send_response(status if self.path == "/metrics" else 404)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
        server.shutdown()


def test_each_gpu_with_its_pod_and_without_one() -> None:
    """The third one's figures are DCGM's words for no data: unknown, not zero and not much.

    Of the second one it is not told what is free; the fourth, a slice of one, has no duty.
    """
    assert read(PAGE) == USES


def test_a_page_without_the_figure_says_nothing() -> None:
    assert read("") == []
    assert read('DCGM_FI_DEV_SM_CLOCK{gpu="0"} 3\n') == []
    assert read('DCGM_FI_DEV_FB_FREE{gpu="0"} 3\n') == [GpuUse(node="")]
    assert read('DCGM_FI_DEV_GPU_UTIL{gpu="0"} NaN\n') == []
    with pytest.raises(ValueError, match=r"\w"):
        read("<html>\n")


def test_all_exporters_are_asked_and_one_that_is_away_harms_none() -> None:
    with serving(PAGE) as good, serving("<html>\n") as bad, serving("", status=500) as broken:
        nobody = f"http://127.0.0.1:{free_port()}/metrics"
        nowhere = "http://no-such-name.invalid:9400/metrics"
        assert Dcgm([bad, nobody, nowhere, broken, good], within_s=60)() == USES
    assert Dcgm([])() == []


def test_a_name_is_asked_at_each_of_its_addresses() -> None:
    with serving(PAGE) as url:
        named = url.replace("127.0.0.1", "localhost")
        assert Dcgm([named], within_s=60)() == USES


@pytest.mark.slow
def test_a_pods_and_a_nodes_gpus_are_told(
    pair: Pair, cluster: MemoryCluster, tmp_path: Path
) -> None:
    name = cluster.pods()[0].name
    cluster.use(name, cpu=0.25, memory_mb=33)
    page = PAGE.replace("chat-abc-1", name).replace("gpu-1", "node-1")
    with serving(page) as url:
        settings = settings_in(tmp_path, dcgm_urls={"local": [url]})
        with running(pair, [cluster], tmp_path, settings=settings) as http:
            pod = f"/v1/pods/local/default/{name}"
            assert gpu(lambda: http.get(pod).json()["used"]) == pytest.approx(0.87)
            assert gpu(lambda: http.get("/v1/nodes").json()["nodes"][0]["used"]) == pytest.approx(
                0.435
            )


def gpu(used: Callable[[], dict[str, float | None] | None]) -> float:
    """Wait until it is told: where the exporter was late once, all but it is told before."""

    def told() -> list[float]:
        share = (used() or {}).get("gpu")
        return [] if share is None else [share]

    return within(60, told)[0]
