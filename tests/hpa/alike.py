"""Mutants that decide alike, as ``module: changed`` (the line may move), each with its reason."""

from collections.abc import Mapping
from typing import Final

_SHORTCUT: Final = "what it leaves out would come to the same"
_SIZE: Final = "how many answers are kept changes none"
_NOT_EQUAL: Final = "they are not equal there"
_HELD: Final = "a ratio of just 1 is within any tolerance"
EQUIVALENT: Final[Mapping[str, str]] = {
    "stages: before < figure -> before <= figure": _NOT_EQUAL,
    "stages: figure > before -> figure >= before": _NOT_EQUAL,
    "stages: 0.0 -> 1.0": "before behaviors nothing was held on its way up",
    "stages: 0.0 -> -1.0": "before behaviors nothing was held on its way up",
    "stages: 4096 -> 4097": _SIZE,
    "stages: 4096 -> 4095": _SIZE,
    "stages: if situation.unbound and situation.least <= figure <= situation.most: -> if False:": (
        _SHORTCUT
    ),
    "stages: situation.least <= figure <= situation.most -> "
    "situation.least < figure <= situation.most": _SHORTCUT,
    "stages: situation.least <= figure <= situation.most -> "
    "situation.least <= figure < situation.most": _SHORTCUT,
    "hpav2.behavior: if not ups and (not downs): -> if False:": _SHORTCUT,
    "hpav2.proposing: not used or not of -> not used and (not of)": "every pod requests something",
    "hpav2.proposing: ratio < 1.0 < again -> ratio <= 1.0 < again": "what is guessed is not more",
    "hpav2.proposing: ratio < 1.0 < again -> ratio < 1.0 <= again": _HELD,
    "hpav2.proposing: again < 1.0 < ratio -> again <= 1.0 < ratio": _HELD,
}
