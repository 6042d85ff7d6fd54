"""Asks a real Prometheus that scrapes a real protobridge for everything that the rules and the dashboard ask for.

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
FILES = ROOT / "charts/protobridge/files"
# What the dashboard's variables stand for here.
VARIABLES = {"$namespace": "shop", "$job": "protobridge", "$queue": "events", "$__rate_interval": "1m"}

# What no run of this length brings about; the rest of the selector is asked for all the same.
UNSEEN = {'cause="redelivery"': "SQS would have to deliver a message again that was deleted"}


def get(url):
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)["data"]


def main(protobridge, work):
    shutil.rmtree(work / "tmp", ignore_errors=True)
    (work / "tmp").mkdir()
    with ExitStack() as running:
        demo, endpoint, folder, well = stage.demo(work, protobridge)
        running.enter_context(demo)
        between = stage.Throttling(endpoint)
        process, badly = stage.troubled(work, protobridge, between.url, folder)
        running.enter_context(process)
        process, url = stage.prometheus(work, FILES / "rules.yaml", {"well": well, "badly": badly})
        running.enter_context(process)
        stage.send_twice(endpoint, folder)
        problems = [*expositions(well, badly), *ask(url)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def expositions(*addresses):
    """promtool's opinion on names, types and help texts."""
    for address in addresses:
        text = urllib.request.urlopen(f"http://{address}/metrics").read()
        check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
        if check.returncode or check.stderr:
            yield f"promtool check metrics: {check.stderr.decode()}"


def ask(url):
    rules = [rule for group in get(f"{url}/api/v1/rules")["groups"] for rule in group["rules"]]
    yield from pages.problems(ROOT, rules)
    dashboard = json.loads((FILES / "dashboard.json").read_text())
    targets = [(panel, target) for panel in dashboard["panels"] for target in panel.get("targets", [])]
    variables = [var for var in dashboard["templating"]["list"] if var["type"] == "query"]
    asked = {f"rule {rule['name']}": parts(rule["query"]) for rule in rules}
    asked |= {
        f"panel {panel['title']}, query {target['refId']}": [(substitute(target["expr"]), labels(target))]
        for panel, target in targets
    }
    asked |= {f"variable {var['name']}": [variable(var["query"]["query"])] for var in variables}
    asked = [(who, expression, wanted) for who, those in asked.items() for expression, wanted in those]
    problems = {}
    deadline = time.monotonic() + stage.PATIENCE
    while time.monotonic() < deadline:
        # What has been answered once will be again.
        asked = [one for one in asked if note(problems, one, answer(url, one[1], one[2]))]
        if not asked:
            break
        time.sleep(1)
    for who, expression, _ in asked:
        yield f"{who}: {problems[who, expression]}: {expression}"
    if not asked:
        panels = len({panel["title"] for panel, _ in targets})
        print(f"{len(rules)} rules and {len(targets)} queries of {panels} panels have an answer")


def note(problems, one, problem):
    problems[one[0], one[1]] = problem
    return problem


def parts(query):
    """The selectors of a rule, and what their series are aggregated by. Alerts themselves have no answer while all is
    well, and what they look at has."""
    for by, inner in aggregates(query):
        for name, matchers in pages.METRIC.findall(inner):
            yield name + seen(matchers), by
    for name, matchers in pages.METRIC.findall(query):
        yield name + seen(matchers), {"namespace", "job"}


def seen(matchers):
    for matcher in UNSEEN:
        matchers = matchers.replace(matcher, "")
    return matchers


def aggregates(query):
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


def answer(url, expression, wanted):
    """What is wrong with the answer to an expression; the answer has to have a number and these labels."""
    query = subprocess.run(["promtool", "query", "instant", url, expression], capture_output=True, text=True)
    if query.returncode:
        return query.stderr.strip() or "promtool refuses it"
    series = query.stdout.split("\n") if query.stdout.strip() else []
    lines = [line for line in series if line and "=> NaN" not in line]
    if not lines:
        return "nothing but NaN" if series else "no series"
    if not any(wanted <= set(re.findall(r'[{ ](\w+)="', line)) for line in lines):
        return f"no series with the labels {sorted(wanted)}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2])))
