"""Limits and plans on the command line: thin wrappers of throttle's API.

Each change is one command with an id of its own; what is wrong with a limit is throttle's to say.
"""

import uuid
from collections.abc import Mapping
from math import ceil
from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec
import typer

from midstage.client import api, groups, wanted_limits
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.show import Output, OutputOption, Row, show, table
from midstage.client.wanted_limits import Kind
from midstage.contracts.algorithms import Every, Refill, Starts
from midstage.contracts.errors import RefusedError
from midstage.contracts.limits import ANY, REQUESTS

LIMITS = (
    *("limit", "customer", "key", "plan", "app", "match", "says"),
    *("on_failure", "shadow", "version", "at", "by", "why"),
)
LEFT = (
    *("limit", "says", "used", "remaining", "wait_s", "overridden_by"),
    *("on_failure", "shadow", "because", "at", "by", "why"),
)
PLANS = ("customer", "plan", "version", "at", "by", "why")

Limit = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The limit's name: small letters, digits, and . _ - between them."
    ),
]
Customer = Annotated[str, typer.Argument(help="The customer's name.")]
By = Annotated[str | None, typer.Option(help="Who asks for it; 'api' where nothing is said.")]
Why = Annotated[str, typer.Option(help="The reason, kept in the log.")]


class _Done(msgspec.Struct):
    version: int


class _Found(msgspec.Struct):
    limits: list[msgspec.Raw]


class _Left(msgspec.Struct):
    limits: list[dict[str, object]]


def register(app: typer.Typer) -> None:
    """Add ``set`` and ``delete`` to ``app``."""
    setting = groups.named(app, "set", about="Set a limit, or the plan of a customer.")
    setting.command("limit")(set_limit)
    setting.command("plan")(set_plan)
    deleting = groups.named(app, "delete", about="Delete a limit or an application.")
    deleting.command("limit")(delete_limit)
    deleting.command("plan")(delete_plan)


def register_get(group: typer.Typer) -> None:
    """Add to ``midstage get``."""
    group.command("limits")(get_limits)
    group.command("plans")(get_plans)


def get_limits(
    *,
    customer: Annotated[
        str | None, typer.Option(help="What this customer has left of each limit that it meets.")
    ] = None,
    app: Annotated[str | None, typer.Option(help="Only of this application.")] = None,
    plan: Annotated[str | None, typer.Option(help="Only of this plan.")] = None,
    key: Annotated[
        str | None, typer.Option(help="With --customer: as this API key meets them.")
    ] = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print the limits that stand, or what a customer has left of those that it meets.

    What one request would be told: midstage check acme chat --use tokens=500
    """
    throttle = api.service("throttle", directory=directory, server=server)
    if customer is None and key is not None:
        raise RefusedError("--key is asked for with --customer: whose key is it?")
    if customer is not None and plan is not None:
        raise RefusedError("--plan finds limits that stand, --customer what is left: give one")
    if customer is None:
        answer = throttle.ask("/v1/limits", {"app": app, "plan": plan})
        _print(show(answer, rows="limits", columns=LIMITS, output=output))
        return
    answer = throttle.ask(f"/v1/customers/{_part(customer)}/limits", {"app": app, "key": key})
    _print(show_left(answer, output))


def show_left(answer: bytes, output: Output) -> str:
    """What is left of limits; in a table, waits in whole milliseconds."""
    if output is not Output.TABLE:
        return show(answer, rows="limits", columns=LEFT, output=output)
    found = api.read(answer, _Left, whose="throttle's").limits
    return table([_row(each) for each in found], LEFT)


def get_plans(
    *,
    plan: Annotated[str | None, typer.Option(help="Only who is on this plan.")] = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print which customer is on which plan."""
    throttle = api.service("throttle", directory=directory, server=server)
    answer = throttle.ask("/v1/plans", {"plan": plan})
    _print(show(answer, rows="customers", columns=PLANS, output=output))


def set_limit(
    limit: Limit,
    *,
    amount: Annotated[int, typer.Option(help="How much of the unit.")],
    per: Annotated[
        str | None, typer.Option(help="In which time: seconds, or like 30s, 5m, 1h, 7d.")
    ] = None,
    unit: Annotated[
        str, typer.Option(help="Of what: requests, bytes, concurrency, or a unit like tokens.")
    ] = REQUESTS,
    kind: Annotated[
        Kind, typer.Option("--algorithm", help="How it is counted.")
    ] = Kind.TOKEN_BUCKET,
    burst: Annotated[int | None, typer.Option(help="At once at most, of a bucket or gcra.")] = None,
    refill: Annotated[Refill | None, typer.Option(help="Of a token bucket.")] = None,
    starts: Annotated[Starts | None, typer.Option(help="Of a fixed window.")] = None,
    every: Annotated[Every | None, typer.Option(help="Of a calendar's quota.")] = None,
    zone: Annotated[
        str | None, typer.Option(help="Of a calendar's quota: Europe/Berlin; UTC by default.")
    ] = None,
    ttl: Annotated[
        str | None, typer.Option(help="Of slots: when one comes back by itself, like 1h.")
    ] = None,
    customer: Annotated[
        str, typer.Option(help="Whose; '*': each customer has its own count.")
    ] = ANY,
    aggregate: Annotated[
        bool, typer.Option("--aggregate", help="One count over all customers together.")
    ] = False,
    key: Annotated[str, typer.Option(help="Of which API key; '*': each key has its own.")] = "",
    plan: Annotated[str, typer.Option(help="Only for customers on this plan.")] = "",
    app: Annotated[str, typer.Option(help="Of which application; '*': all together.")] = ANY,
    match: Annotated[
        list[str] | None,
        typer.Option(help="Only requests with this label, like model=large; again for more."),
    ] = None,
    on_failure: Annotated[
        str,
        typer.Option(help="When throttle can't count in time: open, closed, or so many: 10/1m."),
    ] = "open",
    overrides: Annotated[
        list[str] | None,
        typer.Option(help="A limit that this one replaces for this customer; again for more."),
    ] = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="What asks for too much takes the rest.")
    ] = False,
    debt: Annotated[int, typer.Option(help="How far settling may go below nothing.")] = 0,
    shadow: Annotated[bool, typer.Option("--shadow", help="Count, and refuse nobody.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Nobody passes before the log has it.")
    ] = False,
    by: By = None,
    why: Why = "",
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Set what a customer may use; an existing limit of that name is replaced.

    As in: midstage set limit gold-tokens --plan gold --unit tokens --amount 100000 --per 1m
    """
    algorithm = wanted_limits.algorithm(
        kind,
        {"burst": burst, "refill": refill, "starts": starts, "every": every, "zone": zone},
        per=per,
        ttl=ttl,
    )
    body = {
        **{"customer": customer, "key": key, "plan": plan, "app": app},
        **({"match": wanted_limits.labels("--match", match)} if match else {}),
        **{"unit": unit, "amount": amount, "algorithm": algorithm},
        "on_failure": wanted_limits.on_failure(on_failure),
        **{"drain": drain, "debt": debt, "shadow": shadow, "strict": strict},
        "overrides": overrides or [],
        **({"aggregate": True} if aggregate else {}),
        **({"by": by} if by else {}),
        "why": why,
    }
    throttle = api.service("throttle", directory=directory, server=server, token_file=token_file)
    version = _changed(throttle, "PUT", _limit(limit), body)
    typer.echo(f"limit {limit} set, version {version}")
    if (customer, key, plan, app, match) == (ANY, "", "", ANY, None):
        whom = "all customers together" if aggregate else "every customer"
        typer.echo(f"midstage: it holds for {whom}, over all applications", err=True)


def delete_limit(
    limit: Limit,
    *,
    by: By = None,
    why: Why = "",
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Delete a limit; what it held back may pass from then on."""
    throttle = api.service("throttle", directory=directory, server=server, token_file=token_file)
    version = _changed(throttle, "DELETE", _limit(limit) + _said(by, why))
    typer.echo(f"limit {limit} deleted, version {version}")


def set_plan(
    customer: Customer,
    plan: Annotated[str, typer.Argument(help="The plan's name.")],
    *,
    by: By = None,
    why: Why = "",
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Put a customer on a plan, and on no other: the plan's limits hold for it."""
    body = {"plan": plan, "why": why, **({"by": by} if by else {})}
    throttle = api.service("throttle", directory=directory, server=server, token_file=token_file)
    found = api.read(throttle.ask("/v1/limits", {"plan": plan}), _Found, whose="throttle's")
    version = _changed(throttle, "PUT", _plan(customer), body)
    typer.echo(f"customer {customer} is on plan {plan}, version {version}")
    if not found.limits:
        typer.echo(f"midstage: no limit is of plan {plan} yet", err=True)


def delete_plan(
    customer: Customer,
    *,
    by: By = None,
    why: Why = "",
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Take a customer off its plan."""
    throttle = api.service("throttle", directory=directory, server=server, token_file=token_file)
    version = _changed(throttle, "DELETE", _plan(customer) + _said(by, why))
    typer.echo(f"customer {customer} is on no plan, version {version}")


def _limit(limit: str) -> str:
    return f"/v1/limits/{_part(limit)}"


def _plan(customer: str) -> str:
    return f"/v1/customers/{_part(customer)}/plan"


def _part(name: str) -> str:
    return quote(name, safe="")


def _said(by: str | None, why: str) -> str:
    """Who and why, where a change has no body."""
    query = urlencode({name: value for name, value in (("by", by), ("why", why)) if value})
    return f"?{query}" if query else ""


def _changed(
    throttle: api.Service, method: str, path: str, body: Mapping[str, object] | None = None
) -> int:
    """The version under which the change stands."""
    answer = throttle.change(method, path, command_id=uuid.uuid4().hex, body=body)
    return api.read(answer, _Done, whose="throttle's").version


def _row(left: Row) -> Row:
    """A wait rounded up, or who comes back then is too early; None where nothing overrides it."""
    wait_s = left.get("wait_s")
    if isinstance(wait_s, int | float):
        wait_s = ceil(wait_s * 1_000) / 1_000
    return {**left, "wait_s": wait_s, "overridden_by": left.get("overridden_by") or None}


def _print(found: str) -> None:
    """Data on stdout; that there is none is no data."""
    typer.echo(found or "nothing found", err=not found)
