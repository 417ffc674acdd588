"""A real Envoy that asks throttle: what its bootstrap is made of, and its life."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from midstage.local import envoy
from midstage.testkit.waiting import within
from tests import patient

TYPES = "type.googleapis.com/envoy.extensions"
HTTP2 = {
    "typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{TYPES}.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
}


@contextmanager
def serving(
    directory: Path, bootstrap: object, *, admin: int, listen: int
) -> Iterator[httpx.Client]:
    """Callers of an Envoy that starts so, and ends with this."""
    file = directory / "envoy.json"
    file.write_text(json.dumps(bootstrap))
    with (directory / "envoy.log").open("wb") as log:
        process = subprocess.Popen(
            [str(envoy.binary()), "-c", str(file), "--use-dynamic-base-id"],
            stdout=log,
            stderr=log,
        )
    try:
        within(60, lambda: envoy.unready(admin) is None)
        with patient.client(base_url=f"http://127.0.0.1:{listen}") as callers:
            yield callers
    finally:
        process.terminate()
        process.wait(60)


def cluster(name: str, port: int) -> dict[str, object]:
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    }


def address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
