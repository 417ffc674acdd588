"""Asking a process over HTTP whether it is ready; an answer's reasons are passed on as they are."""

import urllib.error
import urllib.request

_WITHIN_S = 2.0
_MOST = 300
_loopback = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy


def unready(base: str) -> str | None:
    """Why the process at ``base`` is not ready; None once its ``/readyz`` says 200."""
    try:
        with _loopback.open(f"{base}/readyz", timeout=_WITHIN_S):
            return None
    except urllib.error.HTTPError as e:
        said = e.read(_MOST).decode(errors="replace").strip()
        return f"it answers {e.code}: {said}"
    except OSError as e:
        return f"it does not answer: {e}"
