"""Which form of an answer a caller accepts, by the header ``Accept`` (RFC 9110, 12.5.1)."""

from collections.abc import Sequence

from midstage.contracts.errors import RefusedError

_MOST = 32


def accepted(header: str | None, offered: Sequence[str]) -> str:
    """The offered media type that is liked best, the first of equals; RefusedError (406)."""
    if not header or not header.strip():
        return offered[0]
    ranges = [_range(text) for text in header.split(",")[:_MOST]]
    liked = [(_liking(form, ranges), -i, form) for i, form in enumerate(offered)]
    liking, _, best = max(liked)
    if liking <= 0:
        raise RefusedError(
            f"accept: {header[:200]!r} takes none of {', '.join(offered)}", status=406
        )
    return best


def _range(text: str) -> tuple[str, float]:
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return media, 0.0
    return media, 1.0


def _liking(form: str, ranges: Sequence[tuple[str, float]]) -> float:
    """By the most specific range that takes the form."""
    for wanted in (form, f"{form.partition('/')[0]}/*", "*/*"):
        for media, quality in ranges:
            if media == wanted:
                return quality
    return 0.0
