"""Checks the archive from the outside, with servers and readers that are not part of this project.

    check.py --protobridge FILE --archive-day FILE --work FOLDER [--seed NUMBER] [--rounds NUMBER] [PART…]

The parts are `format`, `service`, `kills`, `replays` (which needs `kills`) and `buckets`; default: all. Exits with an
error at the first check that fails.
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
sys.path += [str(ROOT / "tests/support"), str(ROOT / "tests/journal")]

import format  # noqa: E402
import replays  # noqa: E402
import service  # noqa: E402
import stores  # noqa: E402
from killed import Kills  # noqa: E402
from stage import say  # noqa: E402
from world import isolate, ministack  # noqa: E402

PARTS = ["format", "service", "kills", "replays", "buckets"]

parser = argparse.ArgumentParser()
parser.add_argument("--protobridge", type=Path, required=True)
parser.add_argument("--archive-day", type=Path, required=True)
parser.add_argument("--work", type=lambda path: Path(path).resolve(), required=True)
parser.add_argument("--seed", type=int, default=random.randrange(10**6))
parser.add_argument("--rounds", type=int, default=20, help="how often a replica, and a replay, is killed")
parser.add_argument("parts", nargs="*", metavar="PART", choices=[[], *PARTS])
args = parser.parse_args()


def main():
    began = time.monotonic()
    parts = args.parts or PARTS
    say(f"--seed {args.seed} --rounds {args.rounds}")
    with ExitStack() as stack:
        endpoint = stack.enter_context(ministack(args.work, "sqs,sns,s3"))
        if "format" in parts:
            format.run(args.protobridge, args.archive_day, args.work, args.seed)
        if "service" in parts:
            service.run(args.protobridge, endpoint, args.work)
        if "kills" in parts or "replays" in parts:
            kills = Kills(args.protobridge, endpoint, args.work, args.seed, args.rounds)
            kills.run()
            if "replays" in parts:
                replays.run(kills, args.seed, args.rounds)
        if "buckets" in parts:
            stores.run(args.protobridge, endpoint, args.work)
    say(f"done in {time.monotonic() - began:.0f} s")


isolate()
os.environ |= {"NO_PROXY": "*", "no_proxy": "*"}
shutil.rmtree(args.work, ignore_errors=True)
args.work.mkdir(parents=True)
main()
