"""Renders the chart and judges what comes out. `tests/chart/run` calls it with its tools in place; `--update` rewrites the
snapshots.

tests/chart/values/*.yaml    is rendered; tests/chart/snapshots/ has what came out
tests/chart/refused/*.yaml   is refused with the message in its first line, `# refused: …`, and nothing else is wrong
"""

import base64
import difflib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading

import yaml

import render
from judges import is_accepted, is_valid, judges_bite
from refusals import refusals
from render import (
    ARGUMENTS, CHART, HELM, HELM3, HERE, KUBERNETES, PROTOBRIDGE, ROOT, SCRATCH, SET,
    Loader, expect, failures, file_of, helm, inline, notes, objects_in, one, pod_of, rendered,
)

UPDATE = "--update" in sys.argv[1:]


class Dumper(yaml.SafeDumper):
    """YAML with texts of several lines as such."""


def text(dumper, value):
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


Dumper.add_representer(str, text)


# -- what holds for each values file


def is_well_made(name, objects):
    seen = set()
    for part in objects:
        key = (part["kind"], part["metadata"]["name"])
        expect(key not in seen, f"{name}: {key} is there twice")
        seen.add(key)
    deployment, pod = one(objects, "Deployment"), pod_of(objects)
    spec = pod["spec"]
    scaled = one(objects, "HorizontalPodAutoscaler") or one(objects, "ScaledObject")
    expect(("replicas" in deployment["spec"]) == (not scaled), f"{name}: replicas and a scaler exclude each other")
    if scaled:
        target = scaled["spec"]["scaleTargetRef"]
        expect(target["name"] == deployment["metadata"]["name"], f"{name}: what is scaled is {target}")

    selector = deployment["spec"]["selector"]["matchLabels"]
    test = one(objects, "Pod", "-test")
    expect(selector.items() <= pod["metadata"]["labels"].items(), f"{name}: the selector misses its pods")
    expect(not selector.items() <= test["metadata"]["labels"].items(), f"{name}: the test pod is taken for the service")
    for kind, labels in {
        "Service": lambda spec: spec["selector"],
        "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
        "PodMonitor": lambda spec: spec["selector"]["matchLabels"],
        "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
    }.items():
        if part := one(objects, kind):
            expect(labels(part["spec"]) == selector, f"{name}: the {kind} selects other pods")
    if monitor := one(objects, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        expect(wanted <= one(objects, "Service")["metadata"]["labels"].items(), f"{name}: the ServiceMonitor misses")

    ours = [part for part in spec.get("initContainers", []) if part["name"].endswith("-descriptors")]
    ours += [part for part in spec["containers"] if part["name"] == "protobridge"]
    for part in [*ours, *test["spec"]["containers"]]:
        context = part["securityContext"]
        hard = (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"], context["capabilities"])
        expect(hard == (False, True, {"drop": ["ALL"]}), f"{name}: container {part['name']} is not hardened: {context}")
    for part in (spec, test["spec"]):
        context = part["securityContext"]
        expect(context["runAsNonRoot"] and context["runAsUser"] == 65532, f"{name}: a pod runs as {context}")
        expect(context["seccompProfile"] == {"type": "RuntimeDefault"}, f"{name}: no seccomp profile")
        expect(part["automountServiceAccountToken"] is False, f"{name}: the token is mounted")
        expect(part["enableServiceLinks"] is False, f"{name}: variables of Services are set")
    service = next(part for part in ours if part["name"] == "protobridge")
    expect(not any("subPath" in mount for part in ours for mount in part["volumeMounts"]), f"{name}: a subPath")
    volumes = {volume["name"] for volume in spec["volumes"]}
    for part in ours:
        for mount in part["volumeMounts"]:
            expect(mount["name"] in volumes, f"{name}: nothing to mount at {mount['mountPath']}")
    expect("limits" not in service["resources"] or "cpu" not in service["resources"]["limits"], f"{name}: a CPU limit")

    asked = {part["httpGet"]["path"] for name, part in service.items() if name in ("startupProbe", "livenessProbe")}
    expect(asked == {"/livez"}, f"{name}: a pod is started again for what {asked} says")
    expect(service["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}, f"{name}: readiness is not asked for")
    config = configuration(objects)
    drain = config.get("shutdown", {})["drain_timeout_seconds"]
    expect(spec["terminationGracePeriodSeconds"] >= drain + 10, f"{name}: killed while it drains")
    port = service["ports"][0]["containerPort"]
    expect(config["admin"]["listen"].endswith(f":{port}"), f"{name}: the port {port} is not the one it listens on")
    mounts = {mount["mountPath"]: mount["name"] for mount in service["volumeMounts"]}
    expect(service["args"] == ["run", "--config", "/etc/protobridge/config/protobridge.yaml"], f"{name}: {service['args']}")
    expect(mounts.get(config["descriptors"]["path"]) == "descriptors", f"{name}: no sets where they are looked for")
    folder = os.path.dirname(config["route"]["customers_file"])
    expect(mounts.get(folder) == "customers", f"{name}: no customers where they are looked for")
    made = {part["metadata"]["name"] for part in objects if part["kind"] == "ConfigMap"}
    for volume in spec["volumes"]:
        source = volume.get("configMap", {}).get("name", "")
        if source.startswith(deployment["metadata"]["name"]):
            expect(source in made, f"{name}: the ConfigMap {source} is mounted, and nobody makes it")


def configuration(objects):
    return yaml.load(one(objects, "ConfigMap", "-config")["data"]["protobridge.yaml"], Loader)


def is_as_before(name, objects):
    """A snapshot leaves out what is copied from a file, and is compared with that file instead."""
    for part in objects:
        if part["kind"] == "ConfigMap" and part["metadata"]["name"].endswith("-dashboard"):
            (content,) = part["data"].values()
            expect(content.strip() == (CHART / "files/dashboard.json").read_text().strip(), f"{name}: another dashboard")
            part["data"] = {key: "files/dashboard.json" for key in part["data"]}
        if part["kind"] == "ConfigMap" and "binaryData" in part:
            same = base64.b64decode(part["binaryData"]["shop.binpb"], validate=True) == SET.read_bytes()
            expect(same, f"{name}: another descriptor set")
            part["binaryData"] = {key: "descriptors/shop.binpb" for key in part["binaryData"]}
        if part["kind"] == "PrometheusRule":
            part["spec"] = "files/rules.yaml"
    head = f"# Rendered of tests/chart/values/{name}.yaml; rewritten by tests/chart/run --update.\n"
    result = head + yaml.dump_all(objects, Dumper=Dumper, sort_keys=False, width=1000, explicit_start=True)
    path = HERE / "snapshots" / f"{name}.yaml"
    if UPDATE:
        path.write_text(result)
    before = path.read_text() if path.exists() else ""
    lines = difflib.unified_diff(before.splitlines(), result.splitlines(), str(path.relative_to(ROOT)), "now", lineterm="")
    expect(before == result, "\n".join([f"{name}: it renders otherwise than its snapshot", *lines]))


# -- what holds for some


def rules_are_those_of_the_file():
    values = yaml.safe_load((HERE / "values/monitoring.yaml").read_text())["prometheusRule"]
    rule = one(rendered(HERE / "values/monitoring.yaml"), "PrometheusRule")
    wanted = yaml.safe_load((CHART / "files/rules.yaml").read_text())["groups"]
    left_out = 0
    for group in wanted:
        count = len(group["rules"])
        group["rules"] = [part for part in group["rules"] if part.get("alert") not in values["disabled"]]
        left_out += count - len(group["rules"])
        for part in group["rules"]:
            if "alert" in part:
                part["labels"] = part.get("labels", {}) | values["alertLabels"]
                url = f"{values['runbookBaseUrl']}/{part['alert']}.md"
                part["annotations"] = part["annotations"] | {"runbook_url": url}
    expect(left_out > 0, "no alert was left out")
    expect(rule["spec"]["groups"] == [group for group in wanted if group["rules"]], "the rules are not those of the file")
    # As they are, where nothing is asked for.
    minimal = HERE / "values/minimal.yaml"
    rule = one(rendered(minimal, "--set", "prometheusRule.enabled=true"), "PrometheusRule")
    wanted = yaml.safe_load((CHART / "files/rules.yaml").read_text())
    expect(rule["spec"] == wanted, "the rules are not those of the file, though nothing changes them")


def restarts_are_for_the_configuration():
    minimal = HERE / "values/minimal.yaml"

    def pods(*more):
        return one(rendered(minimal, *more), "Deployment")

    before = pods()
    expect(before == pods("--set-json", 'customers.inline=[{"id":"globex","topic":"arn:aws:sns:eu-west-1:1:t"}]'),
           "a change of the customers restarts the pods")
    expect(before == pods(*inline(ROOT / "descriptors/protobridge.binpb")), "a change of the sets restarts the pods")
    for change in ("config.publish.linger_ms=5", "configFiles.schemas=x"):
        expect(before != pods("--set", change), f"a change of {change} does not restart the pods")


def a_new_chart_alone_restarts_nothing():
    package = helm("package", CHART, "--version", "9.9.9", "--destination", SCRATCH)
    if package.returncode:
        sys.exit(package.stderr)
    minimal = HERE / "values/minimal.yaml"
    other = helm("template", "events", SCRATCH / "protobridge-9.9.9.tgz", "--namespace", "data", "--values", minimal,
                 *ARGUMENTS["minimal"])
    objects = objects_in(other.stdout)
    expect(objects and pod_of(objects) == pod_of(rendered(minimal)), "a new version of the chart restarts the pods")


def zero_is_a_value():
    minimal = HERE / "values/minimal.yaml"

    def budget(*more):
        return one(rendered(minimal, *more), "PodDisruptionBudget")["spec"]

    for key in ("minAvailable", "maxUnavailable"):
        spec = budget("--set", f"podDisruptionBudget.{key}=0")
        there = {name: spec[name] for name in ("minAvailable", "maxUnavailable") if name in spec}
        expect(there == {key: 0}, f"podDisruptionBudget.{key}=0 makes {there}")
    expect(budget()["maxUnavailable"] == 1, "a budget without a number does not let one pod go")
    replicas = one(rendered(minimal, "--set", "replicaCount=0"), "Deployment")["spec"].get("replicas")
    expect(replicas == 0, f"replicaCount=0 makes {replicas}")


def nothing_refreshes_where_nobody_asks():
    values = HERE / "values/s3-hpa.yaml"
    names = [part["name"] for part in pod_of(rendered(values, "--set", "descriptors.s3.refreshSeconds=0"))["spec"]["initContainers"]]
    expect(names == ["fetch-descriptors"], f"without a refresh the init containers are {names}")


def the_loop_of_the_sidecar_works():
    """In a real shell, with an `aws` that fails the first time: it goes on, and ends at once on SIGTERM."""
    values = HERE / "values/s3-hpa.yaml"
    sidecar = pod_of(rendered(values, "--set", "descriptors.s3.refreshSeconds=1"))["spec"]["initContainers"][-1]
    folder = SCRATCH / "sidecar"
    folder.mkdir()
    calls = folder / "calls"
    (folder / "aws").write_text(f'#!/bin/sh\necho "$@" >> {calls}\n[ "$(wc -l < {calls})" -gt 1 ]\n')
    (folder / "aws").chmod(0o755)
    env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    process = subprocess.Popen([*sidecar["command"], *sidecar["args"]], env=env, stderr=subprocess.PIPE)
    for _ in range(2000):
        if calls.exists() and len(calls.read_text().splitlines()) > 1:
            break
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
        break
    process.terminate()
    try:
        code = process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        code = "none: it had to be killed"
    said = process.stderr.read().decode()
    expect(code == 0, f"the sidecar ended with {code} on SIGTERM: {said}")
    wanted = ["s3 sync s3://schemas/released /descriptors --delete --exact-timestamps --only-show-errors"] * 2
    expect(calls.exists() and calls.read_text().splitlines()[:2] == wanted, "the sidecar did not copy twice")
    expect("failed" in said, "a copy that fails is not said")


def the_readme_is_right():
    text = (CHART / "README.md").read_text()
    values, said = text.split("```yaml\n")[1].split("```")[0], text.split("```text\n")[1].split("```")[0]
    path = SCRATCH / "readme.yaml"
    path.write_text(values)
    example = rendered(path, *inline(SET))
    is_accepted("readme", example)
    result = helm("template", "events", CHART, "--values", HERE / "refused/base.yaml", "--values", HERE / "refused/several-at-once.yaml")
    expect(said in result.stderr, "the README shows a message that is not the chart's")


def it_is_a_good_dependency():
    """Of a chart that switches it on by a condition, hands down `global`, and has named it otherwise."""
    parent = SCRATCH / "parent"
    shutil.copytree(CHART, parent / "charts/protobridge")
    dependency = {"name": "protobridge", "version": "*", "alias": "bridge", "condition": "bridge.enabled"}
    (parent / "Chart.yaml").write_text(
        yaml.safe_dump({"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency]})
    )
    base = yaml.safe_load((HERE / "refused/base.yaml").read_text())
    values = parent / "values.yaml"
    values.write_text(yaml.safe_dump({"global": {"cluster": "eu"}, "bridge": base | {"enabled": True}}))
    objects = rendered(values, chart=parent)
    is_well_made("as a dependency", objects)
    expect(one(objects, "Deployment")["metadata"]["name"] == "events-bridge", "a dependency is not called by its alias")
    expect(not rendered(values, "--set", "bridge.enabled=false", chart=parent), "a dependency that is off makes objects")


def the_test_pod_asks_the_right_question():
    """Its arguments, against something that answers as the service does while it receives, and while it does not."""
    (container,) = one(rendered(HERE / "values/minimal.yaml"), "Pod", "-test")["spec"]["containers"]
    for status, wanted in ((200, 0), (503, 1)):
        asked = []

        class Admin(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Admin) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"127.0.0.1:{server.server_port}"
            arguments = [part.replace("events-protobridge.data.svc:8080", address) for part in container["args"]]
            result = subprocess.run([PROTOBRIDGE, *arguments], capture_output=True, text=True)
            server.shutdown()
        expect(result.returncode == wanted, f"the test pod ends with {result.returncode} on {status}: {result.stderr}")
        expect(asked == ["/readyz"], f"the test pod asks for {asked}")


def versions_agree():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    (cargo,) = re.findall(r'^\[workspace\.package\]\nversion = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    expect(chart["appVersion"] == cargo, f"Chart.yaml: appVersion is {chart['appVersion']}, and Cargo.toml says {cargo}")
    oldest = chart["kubeVersion"].removeprefix(">=").rsplit(".", 1)[0]
    expect(oldest == KUBERNETES[0], f"Chart.yaml allows Kubernetes {oldest}, and {KUBERNETES[0]} is what is tested")


def defaults_agree():
    """The chart writes some of the service's defaults out, because it reckons with them."""
    ours = yaml.safe_load((CHART / "values.yaml").read_text())["config"]
    schema = json.loads(subprocess.run([PROTOBRIDGE, "config", "schema"], capture_output=True, check=True).stdout)
    for section, key in (("shutdown", "drain_timeout_seconds"), ("admin", "listen")):
        part = schema["$defs"][section.capitalize()]["properties"][key]
        expect(part["default"] == ours[section][key], f"values.yaml: config.{section}.{key} is not the service's default")


def notes_say_what_is_next_and_what_is_amiss():
    minimal, keda = HERE / "values/minimal.yaml", HERE / "values/keda-pod-identity.yaml"
    text = notes(minimal)
    for command in (
        "kubectl -n data rollout status deployment/events-protobridge",
        "helm -n data test events --logs",
        "kubectl -n data port-forward service/events-protobridge 8080:8080",
    ):
        expect(command in text, f"the notes lack `{command}`")
    expect("NOTE" not in text, f"the notes complain of nothing:\n{text}")
    cases = [
        ((minimal, "--set", "replicaCount=2"), "published twice"),
        ((keda,), "create-pod-identity-association"),
        ((keda, "--set", "prometheusRule.enabled=true"), "ProtobridgeGone"),
        ((HERE / "values/everything-else.yaml",), "no customers"),
        ((minimal, *inline(file_of("large.binpb", 300_000))), "has 300000 bytes"),
    ]
    for arguments, part in cases:
        expect(part in notes(*arguments), f"the notes do not say: {part}")
    expect("published twice" not in notes(keda), "the notes warn of duplicates, though there is a Redis")
    volume = HERE / "values/everything-else.yaml"
    expect("1.34.0 needs the feature gate ImageVolume" in notes(volume, kube="1.34"), "the notes do not name the feature gate")
    expect("feature gate" not in notes(volume, kube="1.35"), "the notes name a feature gate that nobody needs")


# -- all of it

# Without any values, as the tools of others lint a chart.
lint = helm("lint", "--strict", CHART)
expect(lint.returncode == 0, f"helm lint --strict:\n{lint.stdout}{lint.stderr}")
for values in sorted(HERE.glob("values/*.yaml")):
    name = values.stem
    for binary in (HELM, HELM3):
        lint = helm("lint", "--strict", CHART, "--values", values, *ARGUMENTS.get(name, []), binary=binary)
        expect(lint.returncode == 0, f"{name}: helm lint --strict:\n{lint.stdout}{lint.stderr}")
    objects = rendered(values, kube=KUBERNETES[-1])
    expect(objects == rendered(values, kube=KUBERNETES[-1], binary=HELM3), f"{name}: Helm 3 and 4 differ")
    is_well_made(name, objects)
    is_valid(name, values)
    is_accepted(name, objects)
    is_as_before(name, objects)
judges_bite()
rules_are_those_of_the_file()
restarts_are_for_the_configuration()
a_new_chart_alone_restarts_nothing()
zero_is_a_value()
nothing_refreshes_where_nobody_asks()
the_loop_of_the_sidecar_works()
the_readme_is_right()
it_is_a_good_dependency()
the_test_pod_asks_the_right_question()
versions_agree()
defaults_agree()
notes_say_what_is_next_and_what_is_amiss()
refusals()

for failure in failures:
    print(f"chart: {failure}", file=sys.stderr)
print(f"chart: {render.checks} checks, {len(failures)} failed")
sys.exit(1 if failures else 0)
