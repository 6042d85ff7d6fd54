"""Checks the form of the alerting rules, and that the docs and the rule tests cover every alert."""

import re

METRIC = re.compile(r"\b(protobridge[_a-z0-9:]*[a-z0-9])\b(\{[^}]*\})?")
AGGREGATE = re.compile(r"\b(sum|min|max|avg|count|group|topk|bottomk)\b(?: by \(([^)]*)\))?")


def family(name):
    """Returns the metric that a series belongs to: a histogram has several series."""
    return re.sub(r"_(bucket|count|sum)$", "", name) if re.search("batch_entries|latency|round_trip", name) else name


def metrics(expression, recorded):
    """Returns the metrics that an expression uses, directly or through recorded ones."""
    found = set()
    for name, _ in METRIC.findall(expression):
        found |= metrics(recorded[name], recorded) if name in recorded else {family(name)}
    return found


def problems(root, rules):
    """Yields every problem of the rules, their runbooks, their tests and docs/metrics.md."""
    recorded = {rule["name"]: rule["query"] for rule in rules if rule["type"] == "recording"}
    alerts = [rule for rule in rules if rule["type"] == "alerting"]
    for rule in rules:
        for aggregate, by in AGGREGATE.findall(rule["query"]):
            if not {"namespace", "job"} <= set(by.split(", ")):
                yield f"{rule['name']}: {aggregate} by ({by}) mixes releases: it must keep namespace and job"
    for alert in alerts:
        name = alert["name"]
        if alert["labels"].get("severity") not in ("page", "ticket"):
            yield f"{name}: the severity is not page or ticket"
        annotations = alert["annotations"]
        if set(annotations) != {"summary", "description", "runbook"}:
            yield f"{name}: the annotations are {sorted(annotations)}, not summary, description and runbook"
        elif annotations["runbook"] != f"docs/runbooks/{name}.md":
            yield f"{name}: the annotation runbook is {annotations['runbook']}"
    names = {alert["name"] for alert in alerts}
    yield from runbooks(root, names, alerts)
    yield from tests(root, names)
    yield from metrics_page(root, alerts, recorded)


def runbooks(root, names, alerts):
    folder = root / "docs/runbooks"
    pages = {page.stem for page in folder.glob("*.md")} - {"README"}
    for name in sorted(names ^ pages):
        yield f"{name}: " + ("this alert has no runbook" if name in names else "this runbook has no alert")
    index = dict(re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| ([a-z, ]+) \|", (folder / "README.md").read_text(), re.M))
    for name in sorted(names & pages):
        text = (folder / f"{name}.md").read_text()
        if not text.startswith(f"# {name}\n"):
            yield f"docs/runbooks/{name}.md: the title is not the name of the alert"
        for part in ("**What it means.**", "**How bad.**", "## First look", "## Causes", "## Escalate", "## Silence"):
            if part not in text:
                yield f"docs/runbooks/{name}.md: has no {part}"
        severities = sorted({alert["labels"]["severity"] for alert in alerts if alert["name"] == name})
        if index.get(name) != ", ".join(severities):
            listed, actual = index.get(name), ", ".join(severities)
            yield f"docs/runbooks/README.md: {name} is listed as {listed}, but its severity is {actual}"


def tests(root, names):
    """Yields the alerts whose rule tests have no case in which they fire, or none in which they stay silent."""
    fires, silent = set(), set()
    for file in (root / "tests/alerts/rules").glob("*.test.yaml"):
        for name, expected in re.findall(r"alertname: (\w+)\n +exp_alerts:(.*)\n", file.read_text()):
            (silent if expected.strip() == "[]" else fires).add(name)
    for name in sorted(names):
        if name not in fires or name not in silent:
            yield f"tests/alerts/rules: {name} has no case in which it {'stays silent' if name in fires else 'fires'}"


def metrics_page(root, alerts, recorded):
    """Compares the alerts that docs/metrics.md lists for each metric with the alerts that use it."""
    rows = re.findall(r"^\| `(protobridge_\w+)` \|.*\| ([^|]*)\|$", (root / "docs/metrics.md").read_text(), re.M)
    listed = {(metric, alert.strip()) for metric, cell in rows for alert in cell.split(",") if alert.strip()}
    actual = {(metric, alert["name"]) for alert in alerts for metric in metrics(alert["query"], recorded)}
    for metric, alert in sorted(actual - listed):
        yield f"docs/metrics.md: {metric} does not list the alert {alert}, which uses it"
    for metric, alert in sorted(listed - actual):
        yield f"docs/metrics.md: {metric} lists the alert {alert}, which does not use it"
