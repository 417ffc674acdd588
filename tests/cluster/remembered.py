"""The bench of a cluster in memory: its pods do what the programs of the suite do."""

from midstage.cluster.kubernetes.quantities import number
from midstage.cluster.memory import MemoryCluster
from midstage.cluster.objects import Pod, Template
from midstage.contracts.cluster import Phase

from .bench import NODES, SMALL, Bench

CRASH = b"one\ntwo\nthree\nfour\nfive\nsix\nseven\n"


class Pods:
    """Lets the pods of ``cluster`` live."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster
        self._unready: set[str] = set()

    def settle(self) -> None:
        for pod in self._cluster.pods():
            if pod.phase is Phase.STOPPING:
                self._cluster.end(pod.name)
            elif pod.phase in (Phase.STARTING, Phase.BACKOFF):
                self._run(pod.name, self._cluster.template(pod.name).image or "")
        self._cluster.settle(all_goes_well=False)

    def unready(self, pod: Pod) -> None:
        self._unready.add(pod.name)
        self._cluster.ready(pod.name, ready=False, message="it answers 503")

    def _run(self, pod: str, image: str) -> None:
        self._cluster.start(pod)
        if image == "crashing":
            self._cluster.say(pod, CRASH)
            self._cluster.fail(pod, exit_code=3, message="three\nfour\nfive\nsix\nseven")
        elif image == "serving":
            self._cluster.say(pod, b"hello\nserving\n")
            self._cluster.use(pod, cpu=0.01, memory_mb=20)
            self._cluster.ready(pod, ready=pod not in self._unready)


def bench() -> Bench:
    cluster = MemoryCluster(nodes=NODES)
    pods = Pods(cluster)

    def too_old() -> int:
        before = cluster.list().resource_version - 1
        cluster.forget()
        return before

    def set_ready(node: str, *, ready: bool) -> None:
        cluster.set_node(node, ready=ready)

    return Bench(
        cluster=cluster,
        serving=Template(image="serving", requests=SMALL),
        crashing=Template(image="crashing", requests=SMALL),
        deaf=Template(image="deaf", requests=SMALL),
        settle=pods.settle,
        unready=pods.unready,
        too_old=too_old,
        node_dies=lambda node: set_ready(node, ready=False),
        node_returns=lambda node: set_ready(node, ready=True),
        allow=lambda quota, hard: cluster.allow(
            quota, {name: number(text) for name, text in hard.items()}
        ),
    )
