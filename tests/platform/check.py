"""Runs the service as the chart starts it.

Helm renders the chart, the volumes are mounted as the kubelet mounts them, and the URLs of the probes are requested. A
Prometheus with the chart's rules scrapes the service. Then the queue is cut off, and the right alert must fire. Exits
with an error at the first check that fails.

    check.py --helm HELM --prometheus PROMETHEUS --image NAME --work FOLDER [--transcript FILE] -- PODMAN [OPTION...]
"""

import argparse
import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))

from world import AWS, REGION, Stage, free_port, get, isolate, ministack, until  # noqa: E402

# The factor by which time runs faster in the rules: ten minutes become one.
FASTER = 10
NAME = "protobridge-platform"

parser = argparse.ArgumentParser()
parser.add_argument("--helm", required=True)
parser.add_argument("--prometheus", required=True)
parser.add_argument("--image", required=True)
parser.add_argument("--work", required=True, type=Path)
parser.add_argument("--transcript", type=Path, help="a file to which the report is appended")
parser.add_argument("podman", nargs="+")
args = parser.parse_args()


def say(text):
    print(f"platform: {text}", flush=True)
    if args.transcript:
        with args.transcript.open("a") as file:
            file.write(f"{text}\n")


def check(condition, what, *details):
    """Prints what was checked. If the condition is false, exits with an error."""
    if not condition:
        sys.exit("\n".join([f"platform: FAILED: {what}", *map(str, details)]))
    say(what)


def podman(*arguments):
    done = subprocess.run([*args.podman, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    if done.returncode:
        sys.exit(f"platform: FAILED: podman {arguments[0]}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def logs():
    done = subprocess.run([*args.podman, "logs", NAME], capture_output=True, text=True, timeout=120)
    return "\n".join((done.stdout + done.stderr).splitlines()[-20:])


# --- The pod, as the chart defines it


def render(stage, port):
    """Renders the chart and returns its objects by kind and name."""
    values = {
        "image": {"repository": "localhost/protobridge"},
        "config": {
            "aws": {"region": REGION, "endpoint_url": stage.endpoint_url},
            "queues": [{"url": stage.source, "quarantine_url": stage.quarantine}],
            "taps": {"customer": ["meta.tenant_id", "tenant_id"], "event_id": ["meta.event_id", "event_id"]},
            "admin": {"listen": f"0.0.0.0:{port}"},
            # Short polls, so that the cut of the queue shows at once.
            "receive": {"wait_seconds": 1, "depth_seconds": 1},
        },
        "customers": {"inline": [{"id": customer, "topic": topic} for customer, topic in stage.topics.items()]},
        "descriptors": {"inline": descriptors()},
        "prometheusRule": {"enabled": True},
    }
    file = args.work / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    command = [args.helm, "template", "shop", ROOT / "charts/protobridge", "--namespace", "events", "--values", file]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=os.environ | helm_home())
    if done.returncode:
        sys.exit(f"platform: FAILED: helm template\n{done.stderr}")
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def helm_home():
    return {f"HELM_{kind}_HOME": str(args.work / "helm" / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}


def descriptors():
    sets = sorted((ROOT / "descriptors").glob("*.binpb"))
    return {file.name: base64.b64encode(file.read_bytes()).decode() for file in sets}


def only(objects, kind):
    found = [each for (this, _), each in objects.items() if this == kind]
    assert len(found) == 1, f"expected one {kind}, found {len(found)}"
    return found[0]


def mount(objects, volume):
    """Creates the folder of a volume as the kubelet does: its files are links through `..data`."""
    folder = args.work / "volumes" / volume["name"]
    data = folder / "..2026"
    data.mkdir(parents=True)
    for name, content in config_map(objects, volume).items():
        (data / name).write_bytes(content)
        (folder / name).symlink_to(Path("..data") / name)
    (folder / "..data").symlink_to(data.name)
    return folder


def config_map(objects, volume):
    """Returns the files of the ConfigMap of a volume, by the path at which the volume has them."""
    source = volume["configMap"]
    found = objects["ConfigMap", source["name"]]
    files = {name: text.encode() for name, text in found.get("data", {}).items()}
    files |= {name: base64.b64decode(data) for name, data in found.get("binaryData", {}).items()}
    chosen = {item["key"]: item["path"] for item in source.get("items", [])}
    return {chosen[name]: data for name, data in files.items() if name in chosen} if chosen else files


def start(objects):
    """Runs the container of the rendered pod, and returns its definition."""
    pod = only(objects, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    shutil.rmtree(args.work / "volumes", ignore_errors=True)
    folders = {volume["name"]: mount(objects, volume) for volume in pod["volumes"]}
    security = pod["securityContext"] | container["securityContext"]
    confined = security["readOnlyRootFilesystem"] and security["capabilities"]["drop"] == ["ALL"]
    check(confined, "the chart makes the root read-only and drops all capabilities")
    options = ["--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    options += ["--user", f"{security['runAsUser']}:{security['runAsGroup']}"]
    options += ["--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
    for wanted in container["volumeMounts"]:
        mode = "ro" if wanted["readOnly"] else "rw"
        options += ["--volume", f"{folders[wanted['name']]}:{wanted['mountPath']}:{mode}"]
    environment = {entry["name"]: entry["value"] for entry in container.get("env", [])}
    # The emulator accepts any credentials. In a cluster they come from the role.
    environment |= AWS
    options += [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
    podman("run", "--pull", "never", "--detach", "--name", NAME, *options, args.image, *container["args"])
    return container


# --- The service, as Kubernetes and Prometheus see it


def pass_probes(container, address):
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = container[probe]["httpGet"]["path"]
        until(f"the {probe} passes", lambda path=path: get(f"http://{address}{path}")[0] == 200 or not running(), logs)
        check(get(f"http://{address}{path}")[0] == 200, f"{probe}: GET {path} answers 200", logs())


def running():
    return podman("inspect", "--format", "{{.State.Status}}", NAME) == "running"


def faster(text):
    """Shortens the durations in an expression or in `for`: ranges such as [5m], and offsets."""
    units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

    def shorten(match):
        seconds = int(match[1]) * units[match[2]]
        return f"{max(seconds * 1000 // FASTER, 1000)}ms"

    return re.sub(r"(?<![\w.])(\d+)([smhd])(?![\w])", shorten, text)


def rules(objects):
    """Returns the chart's rules with shorter durations."""
    groups = only(objects, "PrometheusRule")["spec"]["groups"]
    for group in groups:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule["expr"] = faster(rule["expr"])
            if "for" in rule:
                rule["for"] = faster(rule["for"])
            if "keep_firing_for" in rule:
                rule["keep_firing_for"] = faster(rule["keep_firing_for"])
    return {"groups": groups}


@contextlib.contextmanager
def prometheus(objects, address):
    """Runs a Prometheus that scrapes the service, and yields its base URL."""
    folder = args.work / "prometheus"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules(objects)))
    labels = {"namespace": "events", "pod": "shop-protobridge-0"}
    scrape = {"job_name": "shop-protobridge", "static_configs": [{"targets": [address], "labels": labels}]}
    settings = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = {"global": settings, "rule_files": ["rules.yaml"], "scrape_configs": [scrape]}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [args.prometheus, f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}"]
    with open(folder / "log", "w") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        until("Prometheus is ready", lambda: get(f"{url}/-/ready")[0] == 200 or child.poll() is not None)
        check(child.poll() is None, "Prometheus loads the chart's rules", (folder / "log").read_text())
        yield url
    finally:
        child.terminate()
        child.wait()


def query(url, expression):
    answer = json.loads(get(f"{url}/api/v1/query?query={quote(expression)}")[1])
    return answer["data"]["result"]


def alerts(url, state):
    found = json.loads(get(f"{url}/api/v1/alerts")[1])["data"]["alerts"]
    return [alert for alert in found if alert["state"] == state]


def check_service():
    port = free_port()
    address = f"127.0.0.1:{port}"
    with contextlib.ExitStack() as emulator:
        stage = Stage(emulator.enter_context(ministack(args.work)), logs)
        objects = render(stage, port)
        container = start(objects)
        pass_probes(container, address)
        with prometheus(objects, address) as url:
            until("Prometheus has scraped the service", lambda: query(url, 'up{job="shop-protobridge"} == 1'))
            stage.produce("platform", 200)
            report = stage.consume("platform", 200)
            wrong = report["missing"] or report["duplicates"] or report["different"]
            correct = report["received"] == 200 and not wrong
            check(correct, "200 events arrived once each, with the same JSON as from Python's Protobuf", report, logs())
            published = 'sum(protobridge_messages_settled_total{outcome="published"})'
            found = until(
                "Prometheus counts 200 published messages",
                lambda: [r for r in query(url, published) if r["value"][1] == "200"],
            )
            say(f"Prometheus: {published} = {found[0]['value'][1]}")
            check_no_alert_fires(url, lambda: query(url, published))

            emulator.close()
            say("SQS and SNS are stopped")
            firing = until("an alert fires", lambda: alerts(url, "firing"), logs, seconds=180)
            until("the right alert fires", lambda: named(alerts(url, "firing"), ALERT), logs, seconds=180)
            # The alerts that fired before the right one, and those that fire with it.
            firing += alerts(url, "firing")
            (alert,) = named(firing, ALERT)[:1]
            say(f"firing: {alert['labels']['alertname']} ({alert['labels']['severity']})")
            say(f"  {alert['annotations']['summary']}")
            say(f"  {alert['annotations']['description']}")
            wrong = {each["labels"]["alertname"] for each in firing} - {ALERT} - ALONGSIDE
            check(not wrong, "no other alert fires", wrong)
            check(get(f"http://{address}/livez")[0] == 200, "the pod is not restarted: /livez answers 200")
    podman("kill", "--signal", "TERM", NAME)
    check(podman("wait", NAME) == "0", "on SIGTERM the service exits 0", logs())


def named(found, name):
    return [alert for alert in found if alert["labels"]["alertname"] == name]


def check_no_alert_fires(url, run_query):
    """Watches for five minutes of the rules' time that no alert fires while the service works."""
    end = time.monotonic() + 5 * 60 / FASTER
    while time.monotonic() < end:
        run_query()
        found = [alert["labels"]["alertname"] for alert in alerts(url, "firing")]
        check(not found, "no alert fires", found, logs()) if found else time.sleep(0.5)
    say("no alert fires while the service works")


# The alert for failing polls, and the other alerts that can fire without SQS and SNS.
ALERT = "ProtobridgePollFailing"
ALONGSIDE = set()

isolate()
subprocess.run([*args.podman, "rm", "--force", "--ignore", NAME], capture_output=True, check=False)
try:
    check_service()
finally:
    subprocess.run([*args.podman, "rm", "--force", "--ignore", "--time", "0", NAME], capture_output=True, check=False)
