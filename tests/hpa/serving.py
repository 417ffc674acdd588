"""hpa as a process of its own, over topics of a test's own: ``python -m tests.hpa.serving SUFFIX``.

Settings as always; topics as ``conftest.topics_of(SUFFIX)`` names them.
"""

import os
import sys

from midstage.chassis.start import start
from midstage.hpa.config import from_env
from midstage.hpa.main import SERVICE, compose
from tests.hpa.conftest import topics_of

if __name__ == "__main__":
    names = topics_of(sys.argv[1])
    sys.exit(start(SERVICE, lambda: compose(from_env(os.environ), topics=names)))
