"""SVG as strings: elements with escaped attributes and texts, numbers with two decimals at most."""

from collections.abc import Iterable, Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

NAMESPACE: Final = "http://www.w3.org/2000/svg"
Attribute = str | float
Point = tuple[float, float]


def element(name: str, *children: str, **attributes: Attribute) -> str:
    """One element; ``children`` are markup already. ``_`` in an attribute's name stands for ``-``.

    A name that Python keeps for itself takes a ``_`` at its end: ``class_``.
    """
    told = "".join(
        f" {key.rstrip('_').replace('_', '-')}={quoteattr(_told(value))}"
        for key, value in attributes.items()
    )
    if not children:
        return f"<{name}{told}/>"
    return f"<{name}{told}>{''.join(children)}</{name}>"


def text(words: str, *, x: float, y: float, **attributes: Attribute) -> str:
    """Words at a place; they are escaped, and what XML can't hold is left out."""
    return element("text", escaped(words), x=x, y=y, **attributes)


def escaped(words: str) -> str:
    """The words as character data."""
    return escape("".join(one for one in words if one.isprintable()))


def line(points: Sequence[Point], **attributes: Attribute) -> str:
    """A line through the points."""
    return element("polyline", points=_points(points), fill="none", **attributes)


def area(points: Sequence[Point], **attributes: Attribute) -> str:
    """What the points enclose."""
    return element("polygon", points=_points(points), **attributes)


def stairs(points: Sequence[Point], *, end_x: float) -> Sequence[Point]:
    """The corners of the steps that begin at ``points``, level up to the next and to ``end_x``."""
    corners: list[Point] = []
    for at, (x, y) in enumerate(points):
        next_x = points[at + 1][0] if at + 1 < len(points) else end_x
        corners += [(x, y), (next_x, y)]
    return corners


def document(parts: Iterable[str], *, width: int, height: int, title: str, about: str) -> bytes:
    """The whole file; ``title`` and ``about`` are for those who can't see it."""
    whole = element(
        "svg",
        element("title", escaped(title)),
        element("desc", escaped(about)),
        *parts,
        xmlns=NAMESPACE,
        width=width,
        height=height,
        viewBox=f"0 0 {width} {height}",
        role="img",
        font_family="system-ui, 'DejaVu Sans', Arial, sans-serif",
        font_size=12,
        fill=INK,
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{whole}\n'.encode()


INK: Final = "#222222"


def number(value: float) -> str:
    """Two decimals at most, none that say nothing."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _told(value: Attribute) -> str:
    return value if isinstance(value, str) else number(value)


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in points)
