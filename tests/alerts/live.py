"""Evaluates every expression of the rules, the dashboard and docs/operations.md in a Prometheus that scrapes two
protobridges.

usage: live.py PROTOBRIDGE WORK
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack

import pages
import stage

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/documents"))

import markdown  # noqa: E402

FILES = ROOT / "charts/protobridge/files"
# The values of the dashboard's variables in this check.
VARIABLES = {"$namespace": "shop", "$job": "protobridge", "$queue": "events", "$__rate_interval": "1m"}
# This run is shorter than two steps of a subquery.
VARIABLES |= {"[30m:1m]": "[30m:1s]"}

# Matchers that no series of this short run fits. The selectors are queried without them.
UNSEEN = {'cause="redelivery"': "SQS would have to redeliver a deleted message"}
# Metrics without a series in this run. The rules that use them have a series of another metric, too.
UNSEEN_METRICS = {
    "protobridge_source_missing_heartbeats": "no service of this run has a Redis that answers",
    "protobridge_source_unread_since_timestamp_seconds": "the services of this run read each message that they receive",
}


def get(url):
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)["data"]


def main(protobridge, work):
    shutil.rmtree(work / "tmp", ignore_errors=True)
    (work / "tmp").mkdir()
    with ExitStack() as running:
        demo, endpoint, folder, healthy = stage.demo(work, protobridge)
        running.enter_context(demo)
        # The failing service asks for the redrive policy when it starts.
        stage.add_dead_letter_queue(endpoint, folder)
        proxy = stage.ThrottlingProxy(endpoint)
        canary = stage.add_canary(endpoint)
        process, failing = stage.failing(work, protobridge, proxy.url, folder, canary)
        running.enter_context(process)
        # The demo drops the canaries that it receives, so some are lost. Another service without faults publishes the
        # ones that it receives, so some return.
        for command in ("run", "canary"):
            process, prober = stage.beside(work, protobridge, command, endpoint, folder, canary)
            running.enter_context(process)
        process, url = stage.prometheus(work, FILES / "rules.yaml", {"healthy": healthy, "failing": failing, "canary": prober})
        running.enter_context(process)
        stage.send_duplicates(endpoint, folder)
        problems = [*expositions(healthy, failing, prober), *ask(url)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def expositions(*addresses):
    """Yields the problems that promtool finds in the names, types and help texts of the metrics."""
    for address in addresses:
        text = urllib.request.urlopen(f"http://{address}/metrics").read()
        check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
        if check.returncode or check.stderr:
            yield f"promtool check metrics: {check.stderr.decode()}"


def ask(url):
    """Yields the problems of the rules, and every expression that has no answer before the deadline."""
    rules = [rule for group in get(f"{url}/api/v1/rules")["groups"] for rule in group["rules"]]
    yield from pages.problems(ROOT, rules)
    dashboard = json.loads((FILES / "dashboard.json").read_text())
    targets = [(panel, target) for panel in dashboard["panels"] for target in panel.get("targets", [])]
    variables = [var for var in dashboard["templating"]["list"] if var["type"] == "query"]
    queries = {f"rule {rule['name']}": parts(rule["query"]) for rule in rules}
    queries |= {
        f"panel {panel['title']}, query {target['refId']}": [(substitute(target["expr"]), labels(target))]
        for panel, target in targets
    }
    queries |= {f"variable {var['name']}": [variable(var["query"]["query"])] for var in variables}
    told = documented()
    queries |= told
    waiting = [(owner, expression, wanted) for owner, own in queries.items() for expression, wanted in own]
    problems = {}
    deadline = time.monotonic() + stage.PATIENCE
    while time.monotonic() < deadline:
        # An expression that had an answer once is not evaluated again.
        waiting = [query for query in waiting if note(problems, query, problem_of(url, query[1], query[2]))]
        if not waiting:
            break
        time.sleep(1)
    for owner, expression, _ in waiting:
        yield f"{owner}: {problems[owner, expression]}: {expression}"
    if not waiting:
        panels = len({panel["title"] for panel, _ in targets})
        told_too = f"and {len(told)} queries of docs/operations.md"
        print(f"{len(rules)} rules, {len(targets)} queries of {panels} panels {told_too} return series")


def documented():
    """Returns the queries of docs/operations.md by their places, each with the labels of its `count by`."""
    name = "docs/operations.md"
    sections = markdown.sections(name, (ROOT / name).read_text())
    blocks = [block for section in sections for block in section.blocks if block.language == "promql"]
    by = {block.place: re.match(r"count by \((.*?)\)", block.text) for block in blocks}
    return {
        block.place: [(block.text.strip(), set(by[block.place][1].split(", ")) if by[block.place] else set())]
        for block in blocks
    }


def note(problems, query, problem):
    problems[query[0], query[1]] = problem
    return problem


def parts(query):
    """Yields the selectors of a rule, each with the labels that its series must have.

    An alert has no result while all is well, but its selectors always match series.
    """
    for by, inner in aggregates(query):
        for name, matchers in seen(inner):
            yield name + without_unseen(matchers), by
    for name, matchers in seen(query):
        yield name + without_unseen(matchers), {"namespace", "job"}


def seen(expression):
    """Returns the metrics of an expression with their matchers, except those without a series in this run."""
    return [found for found in pages.METRIC.findall(expression) if found[0] not in UNSEEN_METRICS]


def without_unseen(matchers):
    for matcher in UNSEEN:
        matchers = matchers.replace(matcher, "")
    return matchers


def aggregates(query):
    """Yields the labels and the inner expression of each aggregation."""
    for found in re.finditer(r"\b(?:sum|min|max|group) by \(([^)]*)\) \(", query):
        depth, at = 1, found.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(query[at], 0)
            at += 1
        yield set(found.group(1).split(", ")), query[found.end() : at - 1]


def substitute(expression):
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression


def labels(target):
    return set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))


def variable(query):
    selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()
    return substitute(selector), {label}


def problem_of(url, expression, wanted):
    """Evaluates an expression and returns what is wrong with the result, or None.

    The result must have a series with a number and with all the wanted labels.
    """
    query = subprocess.run(["promtool", "query", "instant", url, expression], capture_output=True, text=True)
    if query.returncode:
        return query.stderr.strip() or "promtool failed without an error message"
    series = query.stdout.split("\n") if query.stdout.strip() else []
    lines = [line for line in series if line and "=> NaN" not in line]
    if not lines:
        return "every value is NaN" if series else "no series"
    if not any(wanted <= set(re.findall(r'[{ ](\w+)="', line)) for line in lines):
        return f"no series with the labels {sorted(wanted)}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2])))
