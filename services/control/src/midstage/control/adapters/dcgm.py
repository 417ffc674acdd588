"""GPU use from NVIDIA's DCGM exporter, one on each node: its page of metrics, read in parallel.

The figures are ``DCGM_FI_DEV_GPU_UTIL`` (percent of the last interval in which a kernel ran) and
``DCGM_FI_DEV_FB_USED`` and ``_FREE`` (MiB), with the label ``Hostname``, and ``namespace`` and
``pod`` where the GPU is given to one. Who does not answer, or has no figure, is left out: unknown
is not zero.
"""

import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

from midstage.chassis.logs import logger
from midstage.control.model import GpuUse

UTILISATION = "DCGM_FI_DEV_GPU_UTIL"
MEMORY_USED = "DCGM_FI_DEV_FB_USED"
MEMORY_FREE = "DCGM_FI_DEV_FB_FREE"
_WHOLE = 100.0
_MOST: Final = {UTILISATION: _WHOLE, MEMORY_USED: 2.0**30, MEMORY_FREE: 2.0**30}
"""Above it are DCGM's words for "not supported" and "no data"."""
_GPU: Final = ("Hostname", "UUID", "gpu", "GPU_I_ID", "namespace", "pod")
"""The labels that tell GPUs, their parts, and who has one from each other."""
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
    found: defaultdict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if 0 <= sample.value <= _MOST.get(sample.name, -1.0):
                gpu = tuple(sample.labels.get(label, "") for label in _GPU)
                found[gpu][sample.name] = sample.value
    return [_use(gpu, figures) for gpu, figures in found.items()]


def _use(gpu: Sequence[str], figures: Mapping[str, float]) -> GpuUse:
    node, *_, namespace, pod = gpu
    percent, used = figures.get(UTILISATION), figures.get(MEMORY_USED)
    free = figures.get(MEMORY_FREE)
    return GpuUse(
        node=node,
        share=None if percent is None else percent / _WHOLE,
        memory_mb=used,
        memory_total_mb=None if used is None or free is None else used + free,
        namespace=namespace,
        pod=pod,
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
