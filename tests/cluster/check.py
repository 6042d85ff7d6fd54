"""Checks the chart and the image in a cluster that up.sh has started, and writes the report.

    check.py --work FOLDER --helm4 PATH --helm3 PATH --report FILE --built-seconds SECONDS [--only STEP[,STEP...]]

Exits with an error at the first check that fails.
"""

import argparse
import sys
import time
import traceback
from pathlib import Path

from changes import Changes
from cluster import IMAGE, Background, Cluster, Failed, Report, require
from limits import Limits
from live import Live
from matrix import Matrix
from outside import servers
from world import isolate

parser = argparse.ArgumentParser()
parser.add_argument("--work", required=True, type=Path)
parser.add_argument("--helm4", required=True)
parser.add_argument("--helm3", required=True)
parser.add_argument("--report", required=True, type=Path)
parser.add_argument("--built-seconds", required=True, type=int)
parser.add_argument("--only", help="the steps to run after `install`, separated by commas")
args = parser.parse_args()


def steps(cluster, live, wanted):
    """Returns the wanted steps by name, in the order in which they most likely find a fault.

    Some run in the background from the start, because they wait most of their time, and their rows come at the end.
    """
    foreground = {
        "policy": live.policy,
        "test": live.test,
        "conflicts": live.conflicts,
        "rollout": live.rollout,
        "helm3": live.helm3,
        "uninstall": live.uninstall,
    }
    groups = {
        "kill": lambda: [Live(cluster, "killed").kill],
        "replicas": lambda: [Live(cluster, "replicas").replicas],
        "watchers": lambda: [Live(cluster, "watched").watchers],
        "changes": lambda: [Changes(cluster).run],
        "values": lambda: [Matrix(cluster).run, *Limits(cluster).all()],
    }
    names = [*foreground, *groups]
    wanted = wanted or names
    unknown = set(wanted) - set(names)
    require(not unknown, f"there is no step {', '.join(unknown)}: the steps are {', '.join(names)}")
    background = {name: Background(*make()).finish for name, make in groups.items() if name in wanted}
    return {name: step for name, step in foreground.items() if name in wanted} | background


def run(cluster, report):
    cluster.tag(f"{IMAGE}:1", f"{IMAGE}:2")
    live = Live(cluster, "shop")
    run_step(report, "install", live.install, live)
    for name, step in steps(cluster, live, args.only and args.only.split(",")).items():
        run_step(report, name, step, live)


def run_step(report, name, step, live):
    try:
        for checked, seconds, figures in step():
            report.add(name, checked, seconds, figures)
    except Failed as failure:
        raise Failed(f"{name}: {failure}\n{live.logs()}") from failure


args.report.unlink(missing_ok=True)
isolate()
start = time.monotonic()
report = Report()
report.add("build", "the programs of the node, the image and Helm, from the cache if it has them", args.built_seconds)
try:
    with servers(args.work):
        run(Cluster(args.work, {4: args.helm4, 3: args.helm3}), report)
except Failed as failure:
    traceback.print_exc()
    sys.exit(f"cluster: FAILED: {failure}")
everything = f"only the steps {args.only}" if args.only else "everything after the build and the start of the cluster"
report.add("all", everything, time.monotonic() - start)
args.report.write_text(report.text())
print(report.text())
