"""Checks the journal from the outside, with servers and readers that are not part of this project.

    check.py --protobridge FILE --journal-day FILE --work FOLDER [--seed NUMBER] [PART…]

The parts are `kills`, `buckets`, `faults` and `queries`; default: all. Exits with an error at the first check that
fails.
"""

import argparse
import os
import random
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))

import buckets  # noqa: E402
import faults  # noqa: E402
import queries  # noqa: E402
from kills import Kills  # noqa: E402
from stage import say  # noqa: E402
from world import isolate, ministack  # noqa: E402

PARTS = ["kills", "buckets", "faults", "queries"]

parser = argparse.ArgumentParser()
parser.add_argument("--protobridge", type=Path, required=True)
parser.add_argument("--journal-day", type=Path, required=True)
parser.add_argument("--work", type=lambda path: Path(path).resolve(), required=True)
parser.add_argument("--seed", type=int, default=random.randrange(10**6))
parser.add_argument("parts", nargs="*", metavar="PART", choices=[[], *PARTS])
args = parser.parse_args()


def main():
    began = time.monotonic()
    parts = args.parts or PARTS
    with ExitStack() as stack:
        endpoint = stack.enter_context(ministack(args.work, "sqs,sns,s3"))
        kills = Kills(args.protobridge, endpoint, args.work, args.seed) if "kills" in parts else None
        if kills:
            kills.run()
        if "buckets" in parts:
            buckets.run(args.protobridge, endpoint, args.work)
        if "faults" in parts:
            faults.run(args.protobridge, endpoint, args.work)
        if "queries" in parts:
            queries.run(args.protobridge, args.journal_day, args.work)
        if kills:
            # A process that is killed is known to be dead a minute later.
            kills.check_later()
    say(f"done in {time.monotonic() - began:.0f} s")


isolate()
os.environ |= {"NO_PROXY": "*", "no_proxy": "*"}
shutil.rmtree(args.work, ignore_errors=True)
args.work.mkdir(parents=True)
main()
