"""Who asks over HTTP, on the paths that take a customer's key beside the operators' token."""

from collections.abc import Callable, Mapping

from fastapi import Request

from midstage.chassis.guard import OPERATOR, bearer
from midstage.contracts.errors import RefusedError
from midstage.stats.views.asker import Asker

Customers = Callable[[], Mapping[str, str]]
"""Calling it gives customer by key."""


def asker(request: Request, customers: Customers) -> Asker:
    """Who asks; RefusedError (401) where it is nobody that we know."""
    if getattr(request.state, OPERATOR, False):
        return Asker(customer=None)
    key = bearer(request.headers)
    customer = customers().get(key) if key else None
    if customer is None:
        raise RefusedError(
            f"{request.url.path} needs the header Authorization: Bearer <the token, or a "
            "customer's key>",
            status=401,
        )
    return Asker(customer=customer)
