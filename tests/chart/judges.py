"""Those who judge what the chart makes: the schemas of Kubernetes, of KEDA and of the Prometheus operator, and the service."""

import base64
import copy
import json
import os
import subprocess
import sys

import kubernetes_validate

from render import HERE, KUBERNETES, PROTOBRIDGE, SCRATCH, SET, expect, failures, one, rendered

# `tests/chart/run` puts it beside the packages that it reads.
CUSTOM_JS = os.environ["CUSTOM_JS"]
CUSTOM = ("keda.sh/", "monitoring.coreos.com/")
# The API of older ones does not know image volumes.
FIRST = {"everything-else": "1.31"}


def is_valid(name, values):
    for version in KUBERNETES:
        if version < FIRST.get(name, "1"):
            continue
        objects = rendered(values, kube=version)
        for part in objects:
            if not part["apiVersion"].startswith(CUSTOM):
                mistakes = mistakes_of(part, version)
                expect(not mistakes, f"{name}: {part['kind']} in Kubernetes {version}: {mistakes}")
    mistakes = custom_mistakes([part for part in objects if part["apiVersion"].startswith(CUSTOM)])
    expect(not mistakes, f"{name}: {mistakes}")


def mistakes_of(part, version):
    try:
        kubernetes_validate.validate(part, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{error.message} at {list(error.path)}"]
    return []


def custom_mistakes(objects):
    result = subprocess.run(["node", CUSTOM_JS], input=json.dumps(objects), capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stderr)
    return result.stdout.splitlines()


def judges_bite():
    """What they let through means something only if they stop something."""
    objects = rendered(HERE / "values/keda-pod-identity.yaml")
    for version in KUBERNETES:
        wrong = copy.deepcopy(one(objects, "Deployment"))
        wrong["spec"]["template"]["spec"]["unheardOf"] = 1
        expect(mistakes_of(wrong, version), f"Kubernetes {version}: an unknown field passes")
        wrong = copy.deepcopy(one(objects, "Deployment"))
        wrong["metadata"]["labels"]["number"] = 1
        expect(mistakes_of(wrong, version), f"Kubernetes {version}: a label that is a number passes")
    wrong = copy.deepcopy(one(objects, "ScaledObject"))
    wrong["spec"]["triggers"][0]["metadata"]["queueLength"] = 5
    expect(custom_mistakes([wrong]), "KEDA: metadata that is a number passes")
    monitor = one(rendered(HERE / "values/monitoring.yaml"), "ServiceMonitor")
    monitor["spec"]["endpoints"][0]["interval"] = "soon"
    expect(custom_mistakes([monitor]), "Prometheus operator: an interval that is none passes")


def is_accepted(name, objects):
    """By `protobridge check`, with what the pod would see."""
    folder = SCRATCH / name
    (folder / "config").mkdir(parents=True)
    for file, text in one(objects, "ConfigMap", "-config")["data"].items():
        (folder / "config" / file).write_text(text)
    customers = one(objects, "ConfigMap", "-customers")
    text = customers["data"]["customers.yaml"] if customers else "customers: []\n"
    (folder / "customers.yaml").write_text(text)
    sets = one(objects, "ConfigMap", "-descriptors")
    if sets:
        (folder / "descriptors").mkdir()
        for file, content in sets["binaryData"].items():
            (folder / "descriptors" / file).write_bytes(base64.b64decode(content, validate=True))
    mounted = {
        "PROTOBRIDGE_DESCRIPTORS_PATH": str(folder / "descriptors" if sets else SET.parent),
        "PROTOBRIDGE_ROUTE_CUSTOMERS_FILE": str(folder / "customers.yaml"),
    }
    command = [PROTOBRIDGE, "check", "--config", folder / "config/protobridge.yaml"]
    result = subprocess.run(command, env=os.environ | mounted, capture_output=True, text=True)
    expect(result.returncode == 0, f"{name}: the service refuses its configuration:\n{result.stderr}")
