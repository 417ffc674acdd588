"""A moment that a caller wrote into a question: RFC 3339, with a time zone, or refused by name."""

from datetime import UTC, datetime

from midstage.contracts.errors import RefusedError

_EXAMPLE = "2026-01-31T12:00:00Z"


def instant(name: str, text: str, *, status: int = 422) -> datetime:
    """The moment of the parameter ``name``, in UTC; RefusedError of ``status`` where it is none."""
    try:
        time = datetime.fromisoformat(text)
        exact = time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise RefusedError(
            f"{name}={text!r} is not a time like {_EXAMPLE}", status=status
        ) from error
    if time.tzinfo is None:
        raise RefusedError(
            f"{name}={text!r} has no time zone; write it like {_EXAMPLE}", status=status
        )
    return exact
