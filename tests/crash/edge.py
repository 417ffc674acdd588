"""An edge that dies: the real shipper of the gateway, on a request log that the run writes.

``CRASH_FOLDER`` holds its log and state.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry

from midstage.chassis.clock import SystemClock
from midstage.eventlog.kafka import KafkaLog
from midstage.gateway.adapters import logfiles
from midstage.gateway.adapters.positions import SupersededError
from midstage.gateway.config import Settings
from midstage.gateway.main import Topics, shipping
from midstage.gateway.metrics import Metrics
from midstage.gateway.model.apps import Endpoint
from midstage.gateway.model.shipping import Load

_NOWHERE = Endpoint(host="127.0.0.1", port=1)
SUPERSEDED = 3


class IdleEnvoy:
    """An Envoy that carries nothing and opens its log where it is told to."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir

    def loads(self) -> Mapping[str, Load]:
        return {}

    def reopen_logs(self) -> None:
        (self._log_dir / logfiles.CURRENT).touch()


def main(env: Mapping[str, str], *, reached: Callable[[str], None]) -> int:
    """Ship until killed; 3 where a successor has taken over."""
    folder = Path(env["CRASH_FOLDER"])
    shipper = shipping(
        Settings(
            kafka=env["CRASH_KAFKA"],
            host="127.0.0.1",
            port=0,
            token_file=folder / "token",
            edge=env["CRASH_EDGE"],
            config_dir=folder / "config",
            log_dir=folder / "log",
            state_dir=folder / "state",
            apps_file=None,
            api_keys_file=folder / "api-keys.json",
            edge_keys_file=Path(env["CRASH_KEYS"]),
            listen=_NOWHERE,
            admin=_NOWHERE,
            throttle=_NOWHERE,
            rotate_bytes=1 << 30,
        ),
        log=KafkaLog(bootstrap=env["CRASH_KAFKA"], client_id=env["CRASH_EDGE"]),
        envoy=IdleEnvoy(folder / "log"),
        clock=SystemClock(),
        topics=Topics(),
        metrics=Metrics(CollectorRegistry()),
        reached=reached,
    )
    try:
        shipper.run(threading.Event())
    except SupersededError:
        return SUPERSEDED
    return 0
