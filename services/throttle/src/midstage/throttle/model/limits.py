"""Limits and plans of ``midstage.limits.v1`` as throttle holds them, and commands about them."""

from dataclasses import dataclass
from datetime import datetime

from midstage.contracts.limits import ANY, CustomerPlanned, LimitSet, Terms

_LIMIT = "limit/"
_CUSTOMER = "customer/"

Whose = str | tuple[str, str]
"""Whose meter of a limit: the customer, or the customer and the API key where each has its own."""
Key = tuple[str, str, str]
"""A counter among all: the limit, the customer, and the API key where each has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state of one key of the log: the limit, or the customer's plan, that stands there."""

    fact: LimitSet | CustomerPlanned | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asked for a change, why, and when."""

    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLimit:
    """Asked for: these terms shall hold from now on, whatever held under this name before."""

    limit: str
    terms: Terms
    asked: Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveLimit:
    """Asked for: the limit of this name shall hold no longer."""

    limit: str
    asked: Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCustomer:
    """Asked for: the customer shall be on this plan."""

    customer: str
    plan: str
    asked: Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class UnplanCustomer:
    """Asked for: the customer shall be on no plan."""

    customer: str
    asked: Asked


Command = SetLimit | RemoveLimit | PlanCustomer | UnplanCustomer


def whose(limit: LimitSet, customer: str, key: str) -> Whose:
    """Whose meter of ``limit`` counts a request of ``customer`` by ``key``.

    That of an aggregate limit is its own: it stands where a customer of its name would.
    """
    own = limit.limit if limit.aggregate else customer
    return (own, key) if limit.key == ANY else own


def customer_of(owner: Whose) -> str:
    """The customer whose meter it is."""
    return owner if isinstance(owner, str) else owner[0]


def key_of(command: Command) -> str:
    """The key in the log that a command is about."""
    match command:
        case SetLimit(limit=limit) | RemoveLimit(limit=limit):
            return limit_key(limit)
        case PlanCustomer(customer=customer) | UnplanCustomer(customer=customer):
            return customer_key(customer)


def limit_key(limit: str) -> str:
    """The key of a limit."""
    return f"{_LIMIT}{limit}"


def customer_key(customer: str) -> str:
    """The key of what plan a customer is on."""
    return f"{_CUSTOMER}{customer}"


def named_by(key: str) -> str:
    """The limit or the customer that a key of the log is for."""
    return key.partition("/")[2]
