"""GPU use from NVIDIA's DCGM exporter, one on each node: its page of metrics, read in parallel.

The figure is ``DCGM_FI_DEV_GPU_UTIL`` (percent of the last interval in which a kernel ran), with
the labels ``Hostname``, and ``namespace`` and ``pod`` where the GPU is given to one. Who does not
answer, or has no figure, is left out: unknown is not zero.
"""

import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

from midstage.chassis.logs import logger
from midstage.control.model import GpuUse

UTILISATION = "DCGM_FI_DEV_GPU_UTIL"
_WHOLE = 100.0  # above it are DCGM's words for "not supported" and "no data"
_AT_ONCE = 8
_log = logger(__name__)


class Dcgm:
    """The exporters of one cluster; a name with several addresses is one exporter at each."""

    def __init__(self, urls: Sequence[str], *, within_s: float = 2.0) -> None:
        """Ask nothing yet."""
        self._urls = urls
        self._client = httpx.Client(timeout=within_s, trust_env=False)
        self._asking = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="dcgm")
        self._silent: set[str] = set()

    def __call__(self) -> Sequence[GpuUse]:
        """What each GPU that could be asked about does now."""
        where = [(url, host) for url in self._urls for url, host in _everywhere(url)]
        found = self._asking.map(lambda each: self._ask(*each), where)
        return [use for uses in found for use in uses]

    def _ask(self, url: str, host: str) -> Sequence[GpuUse]:
        try:
            answer = self._client.get(url, headers={"host": host})
            uses = read(answer.raise_for_status().text)
        except (httpx.HTTPError, ValueError) as e:
            if url not in self._silent:
                self._silent.add(url)
                _log.warning("gpus_not_measured", url=url, reason=str(e) or type(e).__name__)
            return ()
        self._silent.discard(url)
        return uses


def read(page: str) -> Sequence[GpuUse]:
    """The GPUs on a page of metrics; ValueError where it is none."""
    return [
        _use(sample.labels, sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == UTILISATION and 0 <= sample.value <= _WHOLE
    ]


def _use(labels: Mapping[str, str], percent: float) -> GpuUse:
    return GpuUse(
        node=labels.get("Hostname", ""),
        share=percent / _WHOLE,
        namespace=labels.get("namespace", ""),
        pod=labels.get("pod", ""),
    )


def _everywhere(url: str) -> Iterator[tuple[str, str]]:
    """The URL at each address of its name, with the name as it was given; https as it is."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        yield url, parts.netloc
        return
    port = parts.port or 80
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError:
        yield url, parts.netloc  # asked all the same, so that the reason is told
        return
    for address in dict.fromkeys(str(each[4][0]) for each in found):
        host = f"[{address}]" if ":" in address else address
        yield parts._replace(netloc=f"{host}:{port}").geturl(), parts.netloc
