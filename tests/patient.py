"""Questions over HTTP to what runs on this machine.

An answer may take as long as a busy machine needs (httpx alone gives up after 5 s), and the
machine's certificates are not read for a question without TLS: that costs 0.1 s of CPU each time.
A connection is kept for less than the 5 s after which a server closes it: httpx's own 5 s would now
and then use one at the moment when it is closed, and find it reset.
"""

from collections.abc import Callable
from functools import partial

import httpx

from midstage.testkit.waiting import within

ANSWER_WITHIN_S = 60.0

get = partial(httpx.get, timeout=ANSWER_WITHIN_S, verify=False)
put = partial(httpx.put, timeout=ANSWER_WITHIN_S, verify=False)
post = partial(httpx.post, timeout=ANSWER_WITHIN_S, verify=False)
delete = partial(httpx.delete, timeout=ANSWER_WITHIN_S, verify=False)
request = partial(httpx.request, timeout=ANSWER_WITHIN_S, verify=False)
stream = partial(httpx.stream, timeout=ANSWER_WITHIN_S, verify=False)
_KEPT = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=2.0)
client = partial(httpx.Client, timeout=ANSWER_WITHIN_S, verify=False, limits=_KEPT)
async_client = partial(httpx.AsyncClient, timeout=ANSWER_WITHIN_S, verify=False, limits=_KEPT)


def answered(command: Callable[[], httpx.Response]) -> httpx.Response:
    """The answer to a command with an id, asked again while it is open what becomes of it (503).

    A service waits 5 s for its own record to be read back: less than a Kafka beside other jobs may
    take, at the first command of a process above all, which opens a writer.
    """
    (answer,) = within(
        ANSWER_WITHIN_S, lambda: [each for each in [command()] if each.status_code != 503]
    )
    return answer


def serves(http: httpx.Client, path: str = "/readyz") -> bool:
    """Whether it answers 200; a process that does not listen yet is one that does not serve."""
    try:
        return http.get(path).status_code == 200
    except httpx.TransportError:
        return False
