"""Questions over HTTP to what runs on this machine.

An answer may take as long as a busy machine needs (httpx alone gives up after 5 s), and the
machine's certificates are not read for a question without TLS: that costs 0.1 s of CPU each time.
"""

from functools import partial

import httpx

ANSWER_WITHIN_S = 60.0

get = partial(httpx.get, timeout=ANSWER_WITHIN_S, verify=False)
put = partial(httpx.put, timeout=ANSWER_WITHIN_S, verify=False)
post = partial(httpx.post, timeout=ANSWER_WITHIN_S, verify=False)
delete = partial(httpx.delete, timeout=ANSWER_WITHIN_S, verify=False)
request = partial(httpx.request, timeout=ANSWER_WITHIN_S, verify=False)
stream = partial(httpx.stream, timeout=ANSWER_WITHIN_S, verify=False)
client = partial(httpx.Client, timeout=ANSWER_WITHIN_S, verify=False)
async_client = partial(httpx.AsyncClient, timeout=ANSWER_WITHIN_S, verify=False)


def serves(http: httpx.Client, path: str = "/readyz") -> bool:
    """Whether it answers 200; a process that does not listen yet is one that does not serve."""
    try:
        return http.get(path).status_code == 200
    except httpx.TransportError:
        return False
