"""Pods of Kubernetes as processes: each pod bound to a living node of ours has one life here.

Woken by what the watch says, it asks no one in between. Told to stop, it ends its pods and says so;
killed, the kernel ends them, and the next one takes their pods over.
"""

import asyncio
import shutil
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from midstage.contracts.errors import RefusedError
from midstage.local.kubelet.life import PodLife
from midstage.local.kubelet.nodes import Nodes
from midstage.local.kubelet.shapes import Pod
from midstage.local.kubelet.watching import Changed, Heard, Listed, Watching
from midstage.local.pods.podlogs import PodLogs

_LOOK_S = 2.0
_STOP_WITHIN_S = 4.0
_GRACE_S = 2.0
_OVER = ("Succeeded", "Failed")


class Kubelet:
    """An async loop; ``watching`` gives a reader that tells what it is handed what it hears."""

    name = "kubelet"

    def __init__(
        self,
        *,
        nodes: Nodes,
        logs: PodLogs,
        folder: Path,
        watching: Callable[[Callable[[Heard], None]], Watching],
        live: Callable[[Pod, str], PodLife],
    ) -> None:
        """No pod lives yet; ``live`` makes a pod's life with an IP address, in ``folder``."""
        self._nodes = nodes
        self._logs = logs
        self._folder = folder
        self._watching = watching
        self._live = live
        self._lives: dict[str, PodLife] = {}
        self._doing: dict[str, asyncio.Task[None]] = {}
        self._known: dict[str, Pod] = {}
        self._over: set[str] = set()
        self._ips: dict[str, str] = {}
        self._listed = False
        self._trimmed_at = monotonic()
        self._leaves = asyncio.Event()
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the pods running until ``stop``, then end them all."""
        heard: deque[Heard] = deque()
        thread_stop = self._begin_to_listen(heard)
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._wake.set())
        try:
            while not stop.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), timeout=_LOOK_S)
                self._wake.clear()
                while heard:
                    self._hear(heard.popleft())
                self._settle()
        finally:
            thread_stop.set()
            stopping.cancel()
            await self._end_all()

    def pods(self) -> Sequence[Pod]:
        """All pods on living nodes of ours, as the API last told of them."""
        return [pod for pod in self._known.values() if self._nodes.alive(pod.spec.node_name)]

    def on(self, node: str) -> Sequence[Pod]:
        """The pods of one node that are not over."""
        return [
            pod
            for pod in self._known.values()
            if pod.spec.node_name == node and pod.status.phase not in _OVER
        ]

    def life(self, namespace: str, name: str) -> PodLife | None:
        """The life of a pod by name."""
        for life in self._lives.values():
            if (life.pod.metadata.namespace, life.pod.metadata.name) == (namespace, name):
                return life
        return None

    def pids(self) -> Mapping[str, int]:
        """The process of each pod, by uid, that has one now."""
        return dict(self._pids())

    def unready(self) -> str | None:
        """Why no pods are started; None when they are."""
        return None if self._listed else "no list of pods could be read yet"

    def lose(self, node: str) -> None:
        """A node died: its pods' processes are killed, and nobody is told."""
        for life in self._lives.values():
            if life.pod.spec.node_name == node:
                life.kill()

    def find(self, node: str) -> None:
        """A node is back: run what it is bound to."""
        for pod in list(self._known.values()):
            if pod.spec.node_name == node:
                self._see(pod)

    def signal(self, pod: str, name: str) -> None:
        """Send the processes of pods of that name a signal; RefusedError where that can't be."""
        if name not in signal.Signals.__members__:
            raise RefusedError(f"there is no signal {name}")
        found = [life for life in self._lives.values() if life.pod.metadata.name == pod]
        processes = [life.process for life in found if life.process is not None]
        if not processes:
            raise RefusedError(f"pod {pod} has no process now", status=404)
        for process in processes:
            process.signal(signal.Signals[name])

    def crash(self, app: str, revision: str | None) -> None:
        """Kill what runs of an application, or of one revision of it."""
        for life in self._lives.values():
            if life.app == app and revision in (None, life.revision) and life.process is not None:
                life.process.signal(signal.SIGKILL)

    def _begin_to_listen(self, heard: deque[Heard]) -> threading.Event:
        """A thread of its own, that nobody waits for: its server may be silent for long."""
        loop = asyncio.get_running_loop()
        stop = threading.Event()

        def hear(what: Heard) -> None:
            heard.append(what)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._wake.set)

        watching = self._watching(hear)
        threading.Thread(target=watching.run, args=(stop,), name="watching", daemon=True).start()
        return stop

    def _hear(self, what: Heard) -> None:
        match what:
            case Listed():
                ours = {pod.metadata.uid: pod for pod in what.pods if self._is_ours(pod)}
                for uid in self._known.keys() - ours.keys():
                    self._forget(uid)
                for pod in ours.values():
                    self._see(pod)
                self._clean()
                self._listed = True
            case Changed(gone=True):
                self._forget(what.pod.metadata.uid)
            case Changed():
                if self._is_ours(what.pod):
                    self._see(what.pod)

    def _clean(self) -> None:
        """Away with what pods left behind that are not there any more, secrets among it."""
        if self._folder.exists():
            for left in self._folder.iterdir():
                if left.name not in self._known and left.name not in self._lives:
                    shutil.rmtree(left, ignore_errors=True)

    def _is_ours(self, pod: Pod) -> bool:
        return pod.spec.node_name in self._nodes.names

    def _forget(self, uid: str) -> None:
        self._known.pop(uid, None)
        self._over.discard(uid)
        self._ips.pop(uid, None)
        if (life := self._lives.get(uid)) is not None:
            life.kill()

    def _see(self, pod: Pod) -> None:
        uid = pod.metadata.uid
        self._known[uid] = pod
        if not self._nodes.alive(pod.spec.node_name):
            return
        if (life := self._lives.get(uid)) is not None:
            life.seen(pod)
        elif uid not in self._over and (
            pod.status.phase not in _OVER or pod.metadata.deletion_timestamp is not None
        ):
            self._begin(pod)

    def _begin(self, pod: Pod) -> None:
        uid = pod.metadata.uid
        life = self._lives[uid] = self._live(pod, self._ip(pod))
        life.seen(pod)
        doing = self._doing[uid] = asyncio.create_task(
            life.run(leaves=self._leaves), name=f"pod {pod.metadata.name}"
        )
        doing.add_done_callback(lambda _: self._wake.set())

    def _ip(self, pod: Pod) -> str:
        """An address for the API's sake: endpoint slices refuse loopback; nobody listens there."""
        if pod.metadata.uid not in self._ips:
            used = set(self._ips.values())
            number = hash(pod.metadata.uid)
            while (ip := _address(number)) in used:
                number += 1
            self._ips[pod.metadata.uid] = pod.status.pod_ip or ip
        return self._ips[pod.metadata.uid]

    def _pids(self) -> Iterator[tuple[str, int]]:
        for uid, life in self._lives.items():
            if life.process is not None:
                yield uid, life.process.pid

    def _settle(self) -> None:
        """Let go of lives that are over; what one of them raised ends the kubelet."""
        for uid, task in list(self._doing.items()):
            if task.done():
                life = self._lives.pop(uid)
                del self._doing[uid]
                task.result()
                self._after(uid, life)
        if self._trimmed_at + _LOOK_S <= monotonic():
            self._trimmed_at = monotonic()
            for life in self._lives.values():
                self._logs.trim(life.log)

    def _after(self, uid: str, life: PodLife) -> None:
        pod = self._known.get(uid)
        if pod is None:
            return
        if life.killed:  # its node died, and may be back by now
            self._see(pod)
        else:
            self._over.add(uid)

    async def _end_all(self) -> None:
        self._leaves.set()
        for life in self._lives.values():
            life.end(grace_s=_GRACE_S)
        if self._doing:
            await asyncio.wait(self._doing.values(), timeout=_STOP_WITHIN_S)
        for life in self._lives.values():
            life.kill()
        for task in self._doing.values():
            task.cancel()
        await asyncio.gather(*self._doing.values(), return_exceptions=True)


def _address(number: int) -> str:
    host = number % 65_024 + 256
    return f"10.244.{host // 256}.{host % 256}"
