"""Checks large events from the consumer's side, with readers and an emulator that are not part of the service.

    check.py --protobridge FILE --work FOLDER [--deleting COMMAND] [--seed NUMBER] [--events NUMBER] [--rounds NUMBER]
        [--parts PART,…] LANGUAGE=COMMAND…

The parts are `readers`, `kills` and `defaults`; default: all. `--deleting` is a consumer in Java that deletes objects.
Exits with an error at the first check that fails.
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

from crashes import Crashes  # noqa: E402
from defaults import Defaults  # noqa: E402
from readers import Readers  # noqa: E402
from stage import say  # noqa: E402
from world import isolate, ministack  # noqa: E402

PARTS = ["readers", "kills", "defaults"]

parser = argparse.ArgumentParser()
parser.add_argument("--protobridge", type=Path, required=True)
parser.add_argument("--work", type=lambda path: Path(path).resolve(), required=True)
parser.add_argument("--deleting")
parser.add_argument("--seed", type=int, default=random.randrange(10**6))
parser.add_argument("--events", type=int, default=300, help="how many small events the readers get")
parser.add_argument("--rounds", type=int, default=12, help="how often a replica is killed")
parser.add_argument("--parts", type=lambda names: names.split(","), default=PARTS)
parser.add_argument("consumers", nargs="+", metavar="LANGUAGE=COMMAND")
args = parser.parse_args()


def main():
    began = time.monotonic()
    say(f"--seed {args.seed} --events {args.events} --rounds {args.rounds}")
    with ExitStack() as stack:
        endpoint = stack.enter_context(ministack(args.work, "sqs,sns,s3"))
        if "defaults" in args.parts:
            Defaults(endpoint, args.work, args.consumers, args.deleting).run()
        if "readers" in args.parts:
            Readers(args.protobridge, endpoint, args.work, args.seed, args.consumers, args.events).run()
        if "kills" in args.parts:
            Crashes(args.protobridge, endpoint, args.work, args.seed, args.rounds).run()
    say(f"done in {time.monotonic() - began:.0f} s")


isolate()
os.environ |= {"NO_PROXY": "*", "no_proxy": "*"}
shutil.rmtree(args.work, ignore_errors=True)
args.work.mkdir(parents=True)
main()
