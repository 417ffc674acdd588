"""A small program for pods of tests: python program.py KIND; serves on PORT where it serves.

GET /readyz: 200 until /unready was asked; /slow takes half a second; /healthz until /unhealthy.
"""

import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

ENDING = {"/unready": "/readyz", "/unhealthy": "/healthz"}
GOOD = {"/readyz", "/healthz", "/slow", *ENDING}


class Handler(BaseHTTPRequestHandler):
    bad: set[str] = set()

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(0.5)
        if self.path in ("/unready", "/unhealthy"):
            self.bad.add(
                self.path.replace("/un", "/")
                .replace("ready", "readyz")
                .replace("healthy", "healthz")
            )
        good = self.path in GOOD - self.bad
        self.send_response(200 if good else 503)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
        pass


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(kind: str) -> int:
    if kind == "crash":
        say("one\ntwo\nthree\nfour\nfive\nsix\nseven")
        return 3
    if kind == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("hello")
    server = HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
    if kind == "deaf":
        Handler.bad.add("/readyz")
    say("serving")
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
