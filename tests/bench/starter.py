"""One contestant of ``clusters``: knows all pods of a Kubernetes once, and says what it took.

``python -m tests.bench.starter ours|typed KUBECONFIG``; the clock begins after the imports.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

OURS, TYPED = "ours", "typed"
_PAGE = 500


def ours(kubeconfig: str) -> Callable[[], int]:
    """As deploy and control begin: everything, at one moment."""
    from midstage.cluster.kubernetes.cluster import KubernetesCluster  # noqa: PLC0415  imports count

    cluster = KubernetesCluster(name="bench", where=f"kubeconfig:{kubeconfig}")
    return lambda: len(cluster.list().pods)


def typed(kubeconfig: str) -> Callable[[], int]:
    """As a service on the typed client begins: the same kinds, in the same pages."""
    from kubernetes import client, config  # noqa: PLC0415  imports count

    config.load_kube_config(kubeconfig)  # type: ignore[no-untyped-call]  # the library has no types
    core, apps, slices = client.CoreV1Api(), client.AppsV1Api(), client.DiscoveryV1Api()

    def known() -> int:
        pods = []
        more = None
        while True:
            page = core.list_pod_for_all_namespaces(limit=_PAGE, _continue=more)
            pods += page.items
            more = page.metadata._continue if page.metadata else None
            if not more:
                break
        core.list_node()
        apps.list_namespaced_deployment("default")
        slices.list_namespaced_endpoint_slice("default")
        return len(pods)

    return known


def main(arguments: list[str]) -> None:
    """Print pods, seconds and MiB as JSON."""
    who, kubeconfig = arguments
    starts: Mapping[str, Callable[[str], Callable[[], int]]] = {OURS: ours, TYPED: typed}
    known = starts[who](kubeconfig)
    began = time.perf_counter()
    pods = known()
    took = time.perf_counter() - began
    peak = int(_peak_kib()) / 1024
    sys.stdout.write(json.dumps({"pods": pods, "seconds": took, "mib": peak}))


def _peak_kib() -> str:
    """Of this program; ``ru_maxrss`` would be that of whoever started it, where that was more."""
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    )
    return line.split()[1]


if __name__ == "__main__":
    main(sys.argv[1:])
