"""What a pod runs: an image is the name of a command here. Pure.

As in Kubernetes, ``$(VAR)`` is the variable's value (left as it is where there is none), and ``$$``
is one ``$``.
"""

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from midstage.cluster.objects import Template

STAND_IN = "midstage/llm-stand-in:1"
IMAGES: Mapping[str, Sequence[str]] = {
    STAND_IN: (sys.executable, "-m", "midstage.local.replica", "--port", "$(PORT)"),
}
NOT_PULLABLE = "a fault on demand: its image can't be pulled"
_VARIABLE = re.compile(r"\$(?:\$|\(([^()]*)\))")


class UnknownImageError(Exception):
    """No command is known for the image; the text says which are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A command line with its environment, ready to be run."""

    command: Sequence[str]
    env: Mapping[str, str]


def program(template: Template, own: Mapping[str, str]) -> Program:
    """What ``template`` runs; ``own`` variables are the pod's and can't be set by it."""
    env = {"MIDSTAGE_REPLICA_GRACE_S": str(max(1, math.floor(template.grace_s - 0.5)))}
    env.update(own)
    for name, value in template.env.items():
        if name not in own:
            env[name] = expanded(value, env)
    command = (*(template.command or command_of(template.image or "")), *template.args)
    return Program(command=[expanded(each, env) for each in command], env=env)


def expanded(text: str, env: Mapping[str, str]) -> str:
    """``text`` with the values of ``env`` in it."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] is None else env.get(found[1], found[0])

    return _VARIABLE.sub(value, text)


def command_of(image: str) -> Sequence[str]:
    """What an image without a command runs; UnknownImageError."""
    if image not in IMAGES:
        raise UnknownImageError(
            f"image {image} is not known to the local cluster; known: {', '.join(sorted(IMAGES))}"
        )
    return IMAGES[image]
