"""Checks the chart and the image in a cluster that up.sh has started, and writes the report.

    check.py --work FOLDER --helm4 PATH --helm3 PATH --report FILE --built-seconds SECONDS [--only STEP[,STEP...]]

The steps run in the order in which they most likely find a fault. Exits with an error at the first check that fails.
"""

import argparse
import sys
import time
import traceback
from pathlib import Path

from cluster import Cluster, Failed, Report
from limits import Limits
from live import NAMESPACE, Live
from matrix import Matrix
from outside import servers
from traffic import Traffic
from world import isolate

parser = argparse.ArgumentParser()
parser.add_argument("--work", required=True, type=Path)
parser.add_argument("--helm4", required=True)
parser.add_argument("--helm3", required=True)
parser.add_argument("--report", required=True, type=Path)
parser.add_argument("--built-seconds", required=True, type=int)
parser.add_argument("--only", help="the steps to run after `install`, separated by commas")
args = parser.parse_args()


def steps(cluster, live):
    """Returns the steps by name. `changes` waits most of its time, so the values files are installed meanwhile."""
    limits, matrix = Limits(cluster), Matrix(cluster)

    def changes():
        matrix.thread.start()
        yield from live.changes()
        yield from matrix.rows()

    return {
        "policy": live.policy,
        "test": live.test,
        "conflicts": live.conflicts,
        "rollout": live.rollout,
        "limits": limits.config_map,
        "inline": limits.inline,
        "changes": changes,
        "kill": live.kill,
        "replicas": live.replicas,
        "watchers": live.watchers,
        "helm3": live.helm3,
        "uninstall": live.uninstall,
    }


def run(cluster, report):
    cluster.make_namespace(NAMESPACE)
    live = Live(cluster, Traffic(lambda: cluster.logs(NAMESPACE)))
    todo = steps(cluster, live)
    wanted = args.only.split(",") if args.only else list(todo)
    unknown = set(wanted) - set(todo)
    if unknown:
        raise Failed(f"there is no step {', '.join(unknown)}: the steps are {', '.join(todo)}")
    for name, step in {"install": live.install, **{name: todo[name] for name in todo if name in wanted}}.items():
        try:
            for checked, seconds, figures in step():
                report.add(name, checked, seconds, figures)
        except Failed as failure:
            raise Failed(f"{name}: {failure}\n{cluster.logs(NAMESPACE)}") from failure


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
report.add("all", "everything after the build and the start of the cluster", time.monotonic() - start)
args.report.write_text(report.text())
print(report.text())
