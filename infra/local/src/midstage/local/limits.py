"""The customers' limits, set through throttle's API as an operator would."""

from collections.abc import Sequence

import httpx

from midstage.local import loopback
from midstage.local.errors import PlatformError
from midstage.local.replay.customers import CustomerLimit

_WITHIN_S = 10.0
_RATED_S = 1000.0


def put(throttle: str, token: str, limits: Sequence[CustomerLimit]) -> int:
    """Set those of ``limits`` that do not stand so already; how many were changed."""
    headers = {"Authorization": f"Bearer {token}"}
    with loopback.client(base_url=throttle, headers=headers, timeout=_WITHIN_S) as client:
        try:
            changed = [limit for limit in limits if not _stands(client, limit)]
            for limit in changed:
                client.put(f"/v1/limits/{name(limit)}", json=_body(limit)).raise_for_status()
        except httpx.HTTPStatusError as e:
            raise PlatformError(f"throttle refused a limit: {e.response.text[:300]}") from e
        except httpx.HTTPError as e:
            raise PlatformError(f"throttle could not be given the limits: {e}") from e
    return len(changed)


def name(limit: CustomerLimit) -> str:
    """The limit's name: one for each customer of an application."""
    return f"{limit.app}-{limit.customer}"


def _stands(client: httpx.Client, limit: CustomerLimit) -> bool:
    answer = client.get(f"/v1/limits/{name(limit)}")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return False
    known = answer.raise_for_status().json()
    return all(known.get(key) == value for key, value in _body(limit).items())


def _body(limit: CustomerLimit) -> dict[str, object]:
    """A token bucket; rates have three decimals at most, so a thousand seconds hold whole ones."""
    return {
        "customer": limit.customer,
        "app": limit.app,
        "unit": "requests",
        "amount": round(limit.rate_per_s * _RATED_S),
        "algorithm": {
            "kind": "token_bucket",
            "period_s": _RATED_S,
            "burst": limit.burst,
            "refill": "continuous",
        },
        "why": limit.why,
    }
