"""What a file of cases has: its header, and its list of cases."""

from collections.abc import Sequence

import msgspec

from midstage.chassis.cases import Shape


class File(Shape, frozen=True, kw_only=True):
    """A file of cases; its ``meta`` tells what they are of."""

    meta: msgspec.Raw
    cases: Sequence[msgspec.Raw]
