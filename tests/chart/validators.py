"""Validates rendered objects with the schemas of Kubernetes, KEDA and the Prometheus operator, and with the service."""

import base64
import copy
import json
import os
import subprocess
import sys

import kubernetes_validate

from render import HERE, KUBERNETES, PROTOBRIDGE, SCRATCH, SET, expect, failures, one, rendered

# `tests/chart/run` copies custom.js to the folder that has its npm packages.
CUSTOM_JS = os.environ["CUSTOM_JS"]
CUSTOM = ("keda.sh/", "monitoring.coreos.com/")
# The first Kubernetes version that a values file needs: older APIs have no image volumes.
FIRST_VERSIONS = {"everything-else": "1.31"}


def check_validates(name, values):
    for version in KUBERNETES:
        if version < FIRST_VERSIONS.get(name, "1"):
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


def check_validators_reject_mistakes():
    """Plants a mistake in valid objects: the validators must report each, or their silence proves nothing."""
    objects = rendered(HERE / "values/keda-pod-identity.yaml")
    for version in KUBERNETES:
        wrong = copy.deepcopy(one(objects, "Deployment"))
        wrong["spec"]["template"]["spec"]["unheardOf"] = 1
        expect(mistakes_of(wrong, version), f"Kubernetes {version}: an unknown field is not reported")
        wrong = copy.deepcopy(one(objects, "Deployment"))
        wrong["metadata"]["labels"]["number"] = 1
        expect(mistakes_of(wrong, version), f"Kubernetes {version}: a label that is a number is not reported")
    wrong = copy.deepcopy(one(objects, "ScaledObject"))
    wrong["spec"]["triggers"][0]["metadata"]["queueLength"] = 5
    expect(custom_mistakes([wrong]), "KEDA: metadata that is a number is not reported")
    monitor = one(rendered(HERE / "values/monitoring.yaml"), "ServiceMonitor")
    monitor["spec"]["endpoints"][0]["interval"] = "soon"
    expect(custom_mistakes([monitor]), "Prometheus operator: an invalid interval is not reported")


def check_service_accepts(name, objects):
    """Runs `protobridge check` with the files that the pod would see."""
    folder = SCRATCH / name
    (folder / "config").mkdir(parents=True)
    for file, text in one(objects, "ConfigMap", "-config")["data"].items():
        (folder / "config" / file).write_text(text)
    customers = one(objects, "ConfigMap", "-customers")
    # A file without customers is refused.
    topic = "arn:aws:sns:eu-west-1:123456789012:acme"
    text = customers["data"]["customers.yaml"] if customers else f"customers: [{{id: acme, topic: '{topic}'}}]\n"
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
