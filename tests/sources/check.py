"""Checks descriptor sets and the customers file in a bucket from the outside.

    check.py --protobridge FILE --work FOLDER [--seed NUMBER] [--server NAME] [PART…]

Default: all parts, with ministack and with moto. Runs some of them at a time, each in a process of its own. Exits with an
error at the first check that fails.
"""

import argparse
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests/support"), str(ROOT / "tests/journal")]

from moto.server import ThreadedMotoServer  # noqa: E402

import faults  # noqa: E402
import live  # noqa: E402
import many  # noqa: E402
import moments  # noqa: E402
import reloads  # noqa: E402
import replicas  # noqa: E402
from ground import Server  # noqa: E402
from stage import fail, say  # noqa: E402
from world import isolate, ministack, until  # noqa: E402

# Those that take longest are first.
PARTS = {
    "reloads": reloads.run,
    "start": faults.start,
    "replicas": replicas.run,
    "denied": faults.denied,
    "live": live.types,
    "customers": live.customers,
    "deleted": moments.deleted,
    "between": moments.between,
    "half": moments.half,
    "many": many.run,
}
# The parts that keep the servers busy. They run after the others.
BUSY = ["many"]
SERVERS = ["ministack", "moto"]
# The parts that run at a time. Most of their time they wait for polls.
AT_A_TIME = 6

parser = argparse.ArgumentParser()
parser.add_argument("--protobridge", type=Path, required=True)
parser.add_argument("--work", type=lambda path: Path(path).resolve(), required=True)
parser.add_argument("--seed", type=int, default=random.randrange(10**6))
parser.add_argument("--server", choices=SERVERS)
# Both are given to the process of a part.
parser.add_argument("--queues", help=argparse.SUPPRESS)
parser.add_argument("--url", help=argparse.SUPPRESS)
parser.add_argument("parts", nargs="*", metavar="PART", choices=[[], *PARTS])
args = parser.parse_args()


def main():
    began = time.monotonic()
    say(f"--seed {args.seed}")
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    servers = [args.server] if args.server else SERVERS
    jobs = [(part, server) for part in PARTS if part in (args.parts or PARTS) for server in servers]
    with ExitStack() as stack:
        urls = {"ministack": stack.enter_context(ministack(args.work, "sqs,sns,s3"))}
        if "moto" in servers:
            urls["moto"] = moto(stack)
        for is_busy in [False, True]:
            run_all([job for job in jobs if (job[0] in BUSY) == is_busy], urls, stack)
    say(f"done in {time.monotonic() - began:.0f} s")


def moto(stack):
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    stack.callback(server.stop)
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


def run_all(waiting, urls, stack):
    """Runs the parts, some at a time, until all have ended or one has failed."""
    waiting, running = list(waiting), []
    while waiting or running:
        while waiting and len(running) < AT_A_TIME:
            running.append(begin(*waiting.pop(0), urls, stack))
        until("a part ends", lambda: any(each.poll() is not None for each in running), seconds=600)
        if any(each.poll() for each in running):
            fail("see above")
        running = [each for each in running if each.poll() is None]


def begin(part, server, urls, stack):
    command = [sys.executable, "-B", __file__, "--protobridge", args.protobridge, "--work", args.work]
    command += ["--seed", args.seed, "--server", server, "--queues", urls["ministack"], "--url", urls[server], part]
    child = subprocess.Popen([*map(str, command)])
    stack.callback(end, child)
    return child


def end(child):
    child.terminate()
    child.wait()


def one():
    """Runs one part with one server."""
    # Ends the replicas of the part, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    args.chance = random.Random(f"{args.seed}-{args.server}-{args.parts[0]}")
    PARTS[args.parts[0]](args, Server(args.server, args.url))


isolate()
os.environ |= {"NO_PROXY": "*", "no_proxy": "*"}
one() if args.queues else main()
