"""An application on a real port, as others find it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from midstage.testkit.waiting import within


def listening() -> socket.socket:
    """A socket on a port of its own."""
    return socket.create_server(("127.0.0.1", 0))


def url_of(listener: socket.socket) -> str:
    """Where it listens."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def served(app: FastAPI, listener: socket.socket | None = None) -> Iterator[str]:
    """The application at a port of its own, or at that of ``listener``."""
    at = listener or listening()
    url = url_of(at)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [at]})
    thread.start()
    within(60, lambda: server.started)
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join()
