"""``python -m midstage.eventlog.create --kafka HOST:PORT``: makes the topics of ``contracts``.

Those that are there stay as they are, so it may be run again.
"""

import argparse
import sys

from midstage.contracts.errors import MidstageError
from midstage.contracts.topics import TOPICS
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.topics import settings_of


def main() -> int:
    """Exit with 0 once all are there, with 1 and the broker's words where they can't be."""
    parser = argparse.ArgumentParser(prog="python -m midstage.eventlog.create")
    parser.add_argument("--kafka", required=True, help="bootstrap servers")
    log = KafkaLog(bootstrap=parser.parse_args().kafka, client_id="midstage.create")
    wanted = [settings for topic in TOPICS for settings in settings_of(topic)]
    try:
        log.create(wanted)
    except MidstageError as e:
        sys.stderr.write(f"the topics can't be made: {e}\n")
        return 1
    sys.stdout.write(f"{len(wanted)} topics are there\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
