"""The version of what the engine decides, apart from that of the package.

It is raised whenever the same inputs may give other bytes: a stage, a rule, a reason, an order of
sums. Evaluations and decisions name it, and the replay makes again only those of its own; a test
pins what each version decides, so that none changes unseen.
"""

from typing import Final

ENGINE: Final = "hpa/2"
