"""A policy as JSON becomes a ``Policy``, or a refusal that names the field.

For dry runs alone: what contradicts itself otherwise is refused by deploy, which takes policies.
"""

from collections.abc import Iterator

import msgspec

from midstage.contracts.errors import RefusedError
from midstage.contracts.policy import Policy


def policy_of(body: bytes) -> Policy:
    """The policy; RefusedError with the paths of what is wrong, as in ``max`` or ``up.pods``."""
    try:
        given: object = msgspec.json.decode(body)
        policy = msgspec.convert(given, Policy)
    except msgspec.ValidationError as e:
        raise RefusedError(f"no policy: {e}") from e
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        raise RefusedError(f"the policy is not JSON: {e}", status=400) from e
    unknown = sorted(_unknown(given, policy, ""))
    if unknown:
        raise RefusedError("; ".join(f"{path}: unknown field" for path in unknown))
    if policy.min > policy.max:
        raise RefusedError(f"min: {policy.min} is more than max {policy.max}")
    return policy


def _unknown(given: object, read: object, path: str) -> Iterator[str]:
    """The paths of what was given and not read."""
    match given, read:
        case dict(), msgspec.Struct():
            names = {each.encode_name: each.name for each in msgspec.structs.fields(read)}
            for key, value in given.items():
                where = f"{path}.{key}" if path else str(key)
                if key not in names:
                    yield where
                else:
                    yield from _unknown(value, getattr(read, names[key]), where)
        case list(), tuple():
            for number, (value, part) in enumerate(zip(given, read, strict=True)):
                yield from _unknown(value, part, f"{path}[{number}]")
        case _:
            return
