"""A program in a pod that asks its own cluster: the names of pods, and what it may not see."""

import contextlib
import os
import sys
import time

import msgspec

from midstage.cluster.kubernetes.connection import Connection
from midstage.contracts.errors import RefusedError


def main() -> None:
    namespace = os.environ["POD_NAMESPACE"]
    with contextlib.closing(Connection(name="inside", where="in-cluster:")) as api:
        listed = msgspec.json.decode(api.request("GET", f"/api/v1/namespaces/{namespace}/pods"))
        say("sees", *(pod["metadata"]["name"] for pod in listed["items"]))
        try:
            api.request("GET", f"/api/v1/namespaces/{namespace}/secrets")
        except RefusedError as e:
            say("refused", str(e.status), str(e))
    time.sleep(3600)


def say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
