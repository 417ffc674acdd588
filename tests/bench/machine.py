"""The facts that figures depend on, without the machine's name or any path of it."""

import os
import platform
import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import midstage.local.jars

_LIBRARIES = (
    "confluent-kafka",
    "faust-streaming",
    "aiokafka",
    "msgspec",
    "duckdb",
    "grpcio",
    "uvloop",
)


def facts() -> Mapping[str, str]:
    """What is printed beside every table."""
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _processor(),
        "memory": f"{_memory_gib():.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        **_embedded(),
        **{name: version(name) for name in _LIBRARIES},
    }


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3


def _processor() -> str:
    """The model as the kernel names it; a clock rate in it says more than any other fact."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or "unknown"
    named = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())
    return named.group(1) if named else "unknown"


def _embedded() -> Mapping[str, str]:
    pins = tomllib.loads(Path(midstage.local.jars.__file__).with_name("pins.toml").read_text())
    kafka, envoy = pins["kafka"]["jars"][0], pins["envoy"]["wheel"]
    return {"Kafka": kafka.rpartition(":")[2], "Envoy": envoy.rpartition("=")[2]}
