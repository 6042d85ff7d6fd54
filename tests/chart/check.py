"""Renders the chart and checks the result. `tests/chart/run` fetches the tools and then calls this script. `--update`
rewrites the snapshots.

tests/chart/values/*.yaml    must render; tests/chart/snapshots/ holds the expected result
tests/chart/refused/*.yaml   must be refused with exactly the messages in its `# refused: …` lines
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
from jobs import check_job_names, check_jobs
from refusals import check_refusals
from render import (
    ARGUMENTS, CHART, HELM, HELM3, HERE, KUBERNETES, PROTOBRIDGE, ROOT, SCRATCH, SET,
    Loader, expect, failures, file_of, helm, inline, notes, objects_in, one, pod_of, rendered, template,
)
from validators import check_service_accepts, check_validates, check_validators_reject_mistakes

UPDATE = "--update" in sys.argv[1:]


class Dumper(yaml.SafeDumper):
    """Writes YAML in which a text of several lines is a block."""


def represent_text(dumper, value):
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


Dumper.add_representer(str, represent_text)


# -- checks of every values file


def check_consistency(name, objects):
    seen = set()
    for part in objects:
        key = (part["kind"], part["metadata"]["name"])
        expect(key not in seen, f"{name}: {key} is rendered twice")
        seen.add(key)
    deployment, pod = one(objects, "Deployment"), pod_of(objects)
    spec = pod["spec"]
    scaled = one(objects, "HorizontalPodAutoscaler") or one(objects, "ScaledObject")
    expect(("replicas" in deployment["spec"]) == (not scaled), f"{name}: replicas must be set without a scaler only")
    if scaled:
        target = scaled["spec"]["scaleTargetRef"]
        expect(target["name"] == deployment["metadata"]["name"], f"{name}: the scaler targets {target}")

    selector = deployment["spec"]["selector"]["matchLabels"]
    test = one(objects, "Pod", "-test")
    expect(selector.items() <= pod["metadata"]["labels"].items(), f"{name}: the Deployment does not select its pods")
    expect(not selector.items() <= test["metadata"]["labels"].items(), f"{name}: the selector matches the test pod")
    for kind, labels in {
        "Service": lambda spec: spec["selector"],
        "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
        "PodMonitor": lambda spec: spec["selector"]["matchLabels"],
        "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
    }.items():
        if part := one(objects, kind):
            expect(labels(part["spec"]) == selector, f"{name}: the {kind} has another selector")
    if monitor := one(objects, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        labels = one(objects, "Service")["metadata"]["labels"].items()
        expect(wanted <= labels, f"{name}: the ServiceMonitor does not select the Service")

    ours = [part for part in spec["containers"] if part["name"] == "protobridge"]
    for part in [*ours, *test["spec"]["containers"]]:
        context = part["securityContext"]
        hard = (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"], context["capabilities"])
        expect(hard == (False, True, {"drop": ["ALL"]}), f"{name}: container {part['name']} is not hardened: {context}")
    for part in (spec, test["spec"]):
        context = part["securityContext"]
        expect(context["runAsNonRoot"] and context["runAsUser"] == 65532, f"{name}: a pod runs as {context}")
        expect(context["seccompProfile"] == {"type": "RuntimeDefault"}, f"{name}: the seccomp profile is wrong")
        expect(part["automountServiceAccountToken"] is False, f"{name}: the service account token is mounted")
        expect(part["enableServiceLinks"] is False, f"{name}: the pod gets an environment variable per Service")
    service = next(part for part in ours if part["name"] == "protobridge")
    sub_paths = [mount for part in ours for mount in part["volumeMounts"] if "subPath" in mount]
    expect(not sub_paths, f"{name}: a mount with a subPath does not follow changes: {sub_paths}")
    volumes = {volume["name"] for volume in spec["volumes"]}
    for part in ours:
        for mount in part["volumeMounts"]:
            expect(mount["name"] in volumes, f"{name}: no volume for the mount at {mount['mountPath']}")
    limits = service["resources"].get("limits", {})
    expect("cpu" not in limits, f"{name}: the service has a CPU limit")

    paths = {service[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe") if probe in service}
    expect(paths == {"/livez"}, f"{name}: the probes that restart a pod request {paths}, not /livez")
    readiness = service["readinessProbe"]["httpGet"]
    expect(readiness == {"path": "/readyz", "port": "admin"}, f"{name}: the readiness probe requests {readiness}")
    config = configuration(objects)
    drain = config.get("shutdown", {})["drain_timeout_seconds"]
    expect(spec["terminationGracePeriodSeconds"] >= drain + 10, f"{name}: the kubelet kills the pod while it drains")
    port = service["ports"][0]["containerPort"]
    expect(config["admin"]["listen"].endswith(f":{port}"), f"{name}: nothing listens on container port {port}")
    mounts = {mount["mountPath"]: mount["name"] for mount in service["volumeMounts"]}
    arguments = service["args"]
    expected = ["run", "--config", "/etc/protobridge/config/protobridge.yaml"]
    if name == "everything-else":
        expected.append("--require-healthy=60")
    expect(arguments == expected, f"{name}: the arguments of the service are {arguments}")
    path, file = config["descriptors"]["path"], config["route"]["customers_file"]
    for what, place, folder in (("descriptors", path, path), ("customers", file, os.path.dirname(file))):
        if place.startswith("s3://"):
            expect(what not in mounts.values(), f"{name}: {place} is in a bucket, but {what} are mounted")
        else:
            expect(mounts.get(folder) == what, f"{name}: no {what} are mounted at {folder}")
    made = {part["metadata"]["name"] for part in objects if part["kind"] == "ConfigMap"}
    for volume in spec["volumes"]:
        source = volume.get("configMap", {}).get("name", "")
        if source.startswith(deployment["metadata"]["name"]):
            expect(source in made, f"{name}: the ConfigMap {source} is mounted, but the chart does not create it")


def check_canary(name, objects):
    """Checks the prober, whose objects must share no selector with those of the service."""
    deployment, service = one(objects, "Deployment", "-canary"), pod_of(objects)
    if not deployment:
        return
    expect(deployment["spec"]["replicas"] == 1, f"{name}: more than one prober runs")
    expect(deployment["spec"]["strategy"] == {"type": "Recreate"}, f"{name}: two probers run during a rollout")
    pod = deployment["spec"]["template"]
    selector = deployment["spec"]["selector"]["matchLabels"]
    labels = pod["metadata"]["labels"]
    expect(selector.items() <= labels.items(), f"{name}: the Deployment does not select the prober")
    for other, part in (("Service", None), ("NetworkPolicy", "podSelector"), ("PodMonitor", "selector")):
        for found in (one(objects, other), one(objects, other, "-canary")):
            if found and part:
                wanted = found["spec"][part]["matchLabels"]
            elif found:
                wanted = found["spec"]["selector"]
            else:
                continue
            is_canary = found["metadata"]["name"].endswith("-canary")
            expect((wanted.items() <= labels.items()) == is_canary, f"{name}: a {other} selects the wrong pods")
    bridge = one(objects, "Deployment")["spec"]["selector"]["matchLabels"]
    expect(not bridge.items() <= labels.items(), f"{name}: the service's Deployment selects the prober")
    expect(not selector.items() <= service["metadata"]["labels"].items(), f"{name}: the prober's Deployment selects the service")
    if monitor := one(objects, "ServiceMonitor", "-canary"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        expect(wanted <= one(objects, "Service", "-canary")["metadata"]["labels"].items(), f"{name}: the prober is not scraped")
    (container,) = pod["spec"]["containers"]
    expected = ["canary", "--config", "/etc/protobridge/config/protobridge.yaml"]
    expect(container["args"] == expected, f"{name}: the arguments of the prober are {container['args']}")
    expect(container["securityContext"]["readOnlyRootFilesystem"], f"{name}: the prober is not hardened")
    for key in ("serviceAccountName", "securityContext"):
        expect(pod["spec"][key] == service["spec"][key], f"{name}: the prober has another {key} than the service")


def configuration(objects):
    return yaml.load(one(objects, "ConfigMap", "-config")["data"]["protobridge.yaml"], Loader)


def check_snapshot(name, objects):
    """Compares the objects with their snapshot.

    A snapshot does not repeat content that the chart copies from a file. That content is compared with the file.
    """
    for part in objects:
        if part["kind"] == "ConfigMap" and part["metadata"]["name"].endswith("-dashboard"):
            (content,) = part["data"].values()
            file = (CHART / "files/dashboard.json").read_text()
            expect(content.strip() == file.strip(), f"{name}: the dashboard differs from files/dashboard.json")
            part["data"] = {key: "files/dashboard.json" for key in part["data"]}
        if part["kind"] == "ConfigMap" and "binaryData" in part:
            same = base64.b64decode(part["binaryData"]["shop.binpb"], validate=True) == SET.read_bytes()
            expect(same, f"{name}: the ConfigMap differs from descriptors/shop.binpb")
            part["binaryData"] = {key: "descriptors/shop.binpb" for key in part["binaryData"]}
        if part["kind"] == "PrometheusRule":
            part["spec"] = "files/rules.yaml"
    head = f"# Rendered of tests/chart/values/{name}.yaml; rewritten by tests/chart/run --update.\n"
    result = head + yaml.dump_all(objects, Dumper=Dumper, sort_keys=False, width=1000, explicit_start=True)
    path = HERE / "snapshots" / f"{name}.yaml"
    if UPDATE:
        path.write_text(result)
    before = path.read_text() if path.exists() else ""
    file = str(path.relative_to(ROOT))
    lines = difflib.unified_diff(before.splitlines(), result.splitlines(), file, "now", lineterm="")
    expect(before == result, "\n".join([f"{name}: the rendered chart differs from its snapshot", *lines]))


# -- checks of single features


def check_rules_match_the_file():
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
    expect(left_out > 0, "prometheusRule.disabled leaves out no alert")
    groups = [group for group in wanted if group["rules"]]
    expect(rule["spec"]["groups"] == groups, "the PrometheusRule differs from files/rules.yaml with the values applied")
    # Without values that change the rules, the chart must not change them.
    minimal = HERE / "values/minimal.yaml"
    rule = one(rendered(minimal, "--set", "prometheusRule.enabled=true"), "PrometheusRule")
    wanted = yaml.safe_load((CHART / "files/rules.yaml").read_text())
    expect(rule["spec"] == wanted, "the PrometheusRule differs from files/rules.yaml, though no value changes it")


def check_only_configuration_restarts_pods():
    minimal = HERE / "values/minimal.yaml"

    def pods(*more):
        return one(rendered(minimal, *more), "Deployment")

    before = pods()
    expect(before == pods("--set-json", 'customers.inline=[{"id":"globex","topic":"arn:aws:sns:eu-west-1:1:t"}]'),
           "a change of the customers restarts the pods")
    others = inline(ROOT / "descriptors/protobridge.binpb")
    expect(before == pods(*others), "a change of the descriptor sets restarts the pods")
    for change in ("config.publish.linger_ms=5", "configFiles.schemas=x"):
        expect(before != pods("--set", change), f"a change of {change} does not restart the pods")


def check_new_chart_version_restarts_no_pods():
    package = helm("package", CHART, "--version", "9.9.9", "--destination", SCRATCH)
    if package.returncode:
        sys.exit(package.stderr)
    minimal = HERE / "values/minimal.yaml"
    other = helm("template", "events", SCRATCH / "protobridge-9.9.9.tgz", "--namespace", "data", "--values", minimal,
                 *ARGUMENTS["minimal"])
    objects = objects_in(other.stdout)
    expect(objects and pod_of(objects) == pod_of(rendered(minimal)), "a new version of the chart restarts the pods")


def check_zero_is_kept():
    minimal = HERE / "values/minimal.yaml"

    def budget(*more):
        return one(rendered(minimal, *more), "PodDisruptionBudget")["spec"]

    for key in ("minAvailable", "maxUnavailable"):
        spec = budget("--set", f"podDisruptionBudget.{key}=0")
        there = {name: spec[name] for name in ("minAvailable", "maxUnavailable") if name in spec}
        expect(there == {key: 0}, f"podDisruptionBudget.{key}=0 renders {there}")
    expect(budget()["maxUnavailable"] == 1, "the default of podDisruptionBudget.maxUnavailable is not 1")
    replicas = one(rendered(minimal, "--set", "replicaCount=0"), "Deployment")["spec"].get("replicas")
    expect(replicas == 0, f"replicaCount=0 renders {replicas}")


def check_sets_and_customers_in_a_bucket():
    """What is in a bucket needs neither a container that copies it nor a volume, in the service and in the Jobs."""
    values = HERE / "values/replay.yaml"
    prefix, one_set, uri = "s3://schemas/released", "s3://schemas/shop.binpb", "s3://acme-config/customers.yaml"
    mounted = "/etc/protobridge/customers/customers.yaml"
    for more, sets, customers in (
        ((), prefix, mounted),
        (("--set", "customers.existingConfigMap.name=", "--set", f"customers.s3.uri={uri}"), prefix, uri),
        (("--set", f"descriptors.s3.uri={one_set}"), one_set, mounted),
    ):
        objects = rendered(values, *more)
        config = configuration(objects)
        path, file = config["descriptors"]["path"], config["route"]["customers_file"]
        expect(path == sets, f"descriptors.path is {path}, not {sets}")
        expect(file == customers, f"route.customers_file is {file}, not {customers}")
        for part in (one(objects, "Deployment"), next(part for part in objects if part["kind"] == "Job")):
            spec = part["spec"]["template"]["spec"]
            expect("initContainers" not in spec, f"{part['kind']}: a container copies what is in a bucket")
            names = {volume["name"] for volume in spec["volumes"]}
            wanted = {"config"} | (set() if customers == uri else {"customers"})
            expect(names == wanted, f"{part['kind']}: the volumes are {names}, not {wanted}")
        elsewhere = one(objects, "ConfigMap", "-customers") is None
        expect(elsewhere, "the chart creates a ConfigMap of customers that are elsewhere")
    # A value of a container that copied the sets does no harm while the sets come from elsewhere.
    minimal = template(HERE / "values/minimal.yaml", "--set", "descriptors.s3.refreshSeconds=300")
    expect(minimal.returncode == 0, f"a leftover of descriptors.s3 is refused without a bucket: {minimal.stderr}")


def check_claim_check_survives_helm():
    """YAML 1.1 reads `on` and `off` as booleans, and so does Helm: the service must be given what it accepts."""
    values = SCRATCH / "claim-check.yaml"
    modes = {"a": "on", "b": "off", "c": "always", "d": '"on"', "e": '"off"'}
    topic = "arn:aws:sns:eu-west-1:123456789012"
    lines = [f"    - {{id: {id}, topic: '{topic}:{id}', claim_check: {mode}}}" for id, mode in modes.items()]
    values.write_text("\n".join(["customers:", "  inline:", *lines]) + "\n")
    bucket = ("--set", "config.claim_check.bucket=acme-claims")
    objects = rendered(HERE / "values/minimal.yaml", "--values", values, *bucket)
    text = one(objects, "ConfigMap", "-customers")["data"]["customers.yaml"]
    # Read as texts, so that a boolean of YAML 1.1 and a text can be told apart.
    found = {part["id"]: part["claim_check"] for part in yaml.load(text, yaml.BaseLoader)["customers"]}
    expect(found == {"a": "true", "b": "false", "c": "always", "d": "on", "e": "off"}, f"the modes are {found}")
    check_service_accepts("claim-check", objects)


def check_readme_examples():
    text = (CHART / "README.md").read_text()
    values, message = text.split("```yaml\n")[1].split("```")[0], text.split("```text\n")[1].split("```")[0]
    path = SCRATCH / "readme.yaml"
    path.write_text(values)
    example = rendered(path, *inline(SET))
    check_service_accepts("readme", example)
    files = ("--values", HERE / "refused/base.yaml", "--values", HERE / "refused/several-at-once.yaml")
    result = helm("template", "events", CHART, *files)
    expect(message in result.stderr, "the README shows a refusal that the chart does not print")


def check_chart_as_dependency():
    """Renders a parent chart that depends on this one, with an alias, a condition and `global` values."""
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
    check_consistency("as a dependency", objects)
    name = one(objects, "Deployment")["metadata"]["name"]
    expect(name == "events-bridge", f"as a dependency, the chart is named {name}, not after its alias")
    disabled = rendered(values, "--set", "bridge.enabled=false", chart=parent)
    expect(not disabled, "as a disabled dependency, the chart renders objects")


def check_test_pod_requests_readiness():
    """Runs the arguments of the test pod against a ready service, then against one that is not ready.

    The first request has no answer, as in a new pod that a network policy does not let through yet.
    """
    (container,) = one(rendered(HERE / "values/minimal.yaml"), "Pod", "-test")["spec"]["containers"]
    for status, wanted in ((200, 0), (503, 1)):
        requested = []

        class Admin(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                requested.append(self.path)
                if len(requested) == 1:
                    return
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
        expect(result.returncode == wanted, f"on {status}, the test pod exits {result.returncode}: {result.stderr}")
        expect(requested == ["/readyz"] * 2, f"the test pod requests {requested}")


def check_versions_agree():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    manifest = (ROOT / "Cargo.toml").read_text()
    (cargo,) = re.findall(r'^\[workspace\.package\]\nversion = "(.+)"$', manifest, re.MULTILINE)
    expect(chart["appVersion"] == cargo, f"Chart.yaml: appVersion is {chart['appVersion']}, but Cargo.toml has {cargo}")
    oldest = chart["kubeVersion"].removeprefix(">=").rsplit(".", 1)[0]
    expect(oldest == KUBERNETES[0], f"Chart.yaml allows Kubernetes {oldest}, but {KUBERNETES[0]} is tested")


def check_defaults_agree():
    """Compares the defaults that values.yaml repeats with those of the service.

    The templates compute with these values, so the chart has to know them.
    """
    ours = yaml.safe_load((CHART / "values.yaml").read_text())["config"]
    schema = json.loads(subprocess.run([PROTOBRIDGE, "config", "schema"], capture_output=True, check=True).stdout)
    for section, key in (("shutdown", "drain_timeout_seconds"), ("admin", "listen")):
        part = schema["$defs"][section.capitalize()]["properties"][key]
        expect(part["default"] == ours[section][key], f"values.yaml: config.{section}.{key} is not the default")


def check_notes():
    minimal, keda = HERE / "values/minimal.yaml", HERE / "values/keda-pod-identity.yaml"
    text = notes(minimal)
    for command in (
        "kubectl -n data rollout status deployment/events-protobridge",
        "helm -n data test events\n",
        "kubectl -n data logs events-protobridge-test ",
        "kubectl -n data port-forward service/events-protobridge 8080:8080",
    ):
        expect(command in text, f"the notes do not show `{command}`")
    expect("NOTE" not in text, f"the notes warn about values that are right:\n{text}")
    cases = [
        ((minimal, "--set", "replicaCount=2"), "knows only the events that it has published"),
        ((keda,), "create-pod-identity-association"),
        ((keda, "--set", "prometheusRule.enabled=true"), "ProtobridgeGone"),
        ((HERE / "values/everything-else.yaml",), "no customers"),
        ((minimal, *inline(file_of("large.binpb", 200_001))), "of the 300000 bytes that Helm's record of the release"),
        ((minimal, "--set", "config.store.url=file:///a", "--set-json", 'store.volume={"emptyDir":{}}'), "ends with its pod"),
        ((HERE / "values/replay.yaml",), "needs up to 192 MiB more memory"),
        ((HERE / "values/replay.yaml",), "the service reads the sets of s3://schemas/released every 30 seconds."),
        ((HERE / "values/replay.yaml",), "app.kubernetes.io/instance=events,app.kubernetes.io/component=replay"),
        ((HERE / "values/redrive.yaml",), "--service-account redrive --role-arn ROLE"),
    ]
    for arguments, part in cases:
        expect(part in notes(*arguments), f"the notes do not contain: {part}")
    expect("knows only the events" not in notes(keda), "the notes warn about duplicates, though Redis is configured")
    volume = HERE / "values/everything-else.yaml"
    text = notes(volume, kube="1.34")
    expect("1.34.0 requires the feature gate ImageVolume" in text, "the notes do not name the feature gate")
    expect("feature gate" not in notes(volume, kube="1.35"), "the notes name a feature gate that 1.35 does not need")


# -- run all checks

# Many tools lint a chart without any values, so that must pass.
lint = helm("lint", "--strict", CHART)
expect(lint.returncode == 0, f"helm lint --strict:\n{lint.stdout}{lint.stderr}")
for values in sorted(HERE.glob("values/*.yaml")):
    name = values.stem
    for binary in (HELM, HELM3):
        lint = helm("lint", "--strict", CHART, "--values", values, *ARGUMENTS.get(name, []), binary=binary)
        expect(lint.returncode == 0, f"{name}: helm lint --strict:\n{lint.stdout}{lint.stderr}")
    objects = rendered(values, kube=KUBERNETES[-1])
    objects3 = rendered(values, kube=KUBERNETES[-1], binary=HELM3)
    expect(objects == objects3, f"{name}: Helm 3 and Helm 4 render different objects")
    check_consistency(name, objects)
    check_canary(name, objects)
    check_jobs(name, objects)
    check_validates(name, values)
    check_service_accepts(name, objects)
    check_snapshot(name, objects)
check_validators_reject_mistakes()
check_rules_match_the_file()
check_only_configuration_restarts_pods()
check_new_chart_version_restarts_no_pods()
check_zero_is_kept()
check_sets_and_customers_in_a_bucket()
check_claim_check_survives_helm()
check_readme_examples()
check_chart_as_dependency()
check_test_pod_requests_readiness()
check_versions_agree()
check_defaults_agree()
check_notes()
check_job_names()
check_refusals()

for failure in failures:
    print(f"chart: {failure}", file=sys.stderr)
print(f"chart: {render.checks} checks, {len(failures)} failed")
sys.exit(1 if failures else 0)
