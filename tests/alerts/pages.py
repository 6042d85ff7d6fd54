"""What has to stand in the docs about rules, and what rules have to look like."""

import re

METRIC = re.compile(r"\b(protobridge[_a-z0-9:]*[a-z0-9])\b(\{[^}]*\})?")
AGGREGATE = re.compile(r"\b(sum|min|max|avg|count|group|topk|bottomk)\b(?: by \(([^)]*)\))?")


def family(name):
    """The metric that a series of a histogram belongs to."""
    return re.sub(r"_(bucket|count|sum)$", "", name) if "batch_entries" in name or "latency" in name else name


def metrics(expression, recorded):
    """The metrics of an expression, those behind recorded ones included."""
    found = set()
    for name, _ in METRIC.findall(expression):
        found |= metrics(recorded[name], recorded) if name in recorded else {family(name)}
    return found


def problems(root, rules):
    """Everything that is wrong about the rules and the pages on them."""
    recorded = {rule["name"]: rule["query"] for rule in rules if rule["type"] == "recording"}
    alerts = [rule for rule in rules if rule["type"] == "alerting"]
    for rule in rules:
        for aggregate, by in AGGREGATE.findall(rule["query"]):
            if not {"namespace", "job"} <= set(by.split(", ")):
                yield f"{rule['name']}: {aggregate} by ({by}) mixes releases"
    for alert in alerts:
        name = alert["name"]
        if alert["labels"].get("severity") not in ("page", "ticket"):
            yield f"{name}: no severity"
        annotations = alert["annotations"]
        if set(annotations) != {"summary", "description", "runbook"}:
            yield f"{name}: has the annotations {sorted(annotations)}"
        elif annotations["runbook"] != f"docs/runbooks/{name}.md":
            yield f"{name}: its runbook is {annotations['runbook']}"
    names = {alert["name"] for alert in alerts}
    yield from runbooks(root, names, alerts)
    yield from tests(root, names)
    yield from used(root, alerts, recorded)


def runbooks(root, names, alerts):
    folder = root / "docs/runbooks"
    pages = {page.stem for page in folder.glob("*.md")} - {"README"}
    for name in sorted(names ^ pages):
        yield f"{name}: an alert without a page, or a page without an alert"
    index = dict(re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| ([a-z, ]+) \|", (folder / "README.md").read_text(), re.M))
    for name in sorted(names & pages):
        text = (folder / f"{name}.md").read_text()
        if not text.startswith(f"# {name}\n"):
            yield f"docs/runbooks/{name}.md: has another title"
        for part in ("**What it means.**", "**How bad.**", "## First look", "## Causes", "## Escalate", "## Silence"):
            if part not in text:
                yield f"docs/runbooks/{name}.md: has no {part}"
        severities = sorted({alert["labels"]["severity"] for alert in alerts if alert["name"] == name})
        if index.get(name) != ", ".join(severities):
            yield f"docs/runbooks/README.md: {name} is {index.get(name)} there, and {', '.join(severities)} in the rules"


def tests(root, names):
    """Each alert has a case in which it fires, for each of its rules, and one in which it stays silent."""
    fires, silent = set(), set()
    for file in (root / "tests/alerts/rules").glob("*.test.yaml"):
        for name, expected in re.findall(r"alertname: (\w+)\n +exp_alerts:(.*)\n", file.read_text()):
            (silent if expected.strip() == "[]" else fires).add(name)
    for name in sorted(names):
        if name not in fires or name not in silent:
            yield f"tests/alerts/rules: {name} has no case in which it {'stays silent' if name in fires else 'fires'}"


def used(root, alerts, recorded):
    """docs/metrics.md says of each metric which alerts look at it."""
    rows = re.findall(r"^\| `(protobridge_\w+)` \|.*\| ([^|]*)\|$", (root / "docs/metrics.md").read_text(), re.M)
    said = {(metric, alert.strip()) for metric, cell in rows for alert in cell.split(",") if alert.strip()}
    true = {(metric, alert["name"]) for alert in alerts for metric in metrics(alert["query"], recorded)}
    for metric, alert in sorted(true - said):
        yield f"docs/metrics.md: {alert} looks at {metric}, too"
    for metric, alert in sorted(said - true):
        yield f"docs/metrics.md: {alert} does not look at {metric}"
