"""Checks the Jobs of replay and redrive."""

import subprocess

from render import HERE, PROTOBRIDGE, expect, one, pod_of, rendered

KINDS = ("replay", "redrive")


def jobs_in(objects):
    """Returns the Jobs by their kind."""
    found = [part for part in objects if part["kind"] == "Job"]
    return {part["metadata"]["labels"]["app.kubernetes.io/component"]: part for part in found}


def check_jobs(name, objects):
    """Checks the Jobs, which share the files of the service, but neither its identity nor its selectors."""
    for kind, job in jobs_in(objects).items():
        expect(kind in KINDS, f"{name}: the component of a Job is {kind}")
        pod = job["spec"]["template"]
        check_separation(name, kind, pod, objects)
        check_pod(name, kind, pod["spec"], pod_of(objects)["spec"])
        check_restarts(name, kind, job["spec"])
        check_arguments(name, kind, pod["spec"]["containers"][0]["args"])


def check_separation(name, kind, pod, objects):
    labels = pod["metadata"]["labels"].items()
    for other in objects:
        spec = other.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector", {}))
        selector = selector.get("matchLabels", selector)
        if other["kind"] in ("ScaledObject", "ServiceMonitor") or not selector:
            continue
        is_own = other["kind"] == "NetworkPolicy" and other["metadata"]["name"].endswith(f"-{kind}")
        expect((selector.items() <= labels) == is_own, f"{name}: a {other['kind']} selects the wrong pods: {kind}")
    if one(objects, "NetworkPolicy"):
        policy = one(objects, "NetworkPolicy", f"-{kind}")
        expect(policy is not None, f"{name}: no NetworkPolicy selects the pods of {kind}")
        service = one(objects, "NetworkPolicy")["spec"]
        expect(policy["spec"]["egress"] == service["egress"], f"{name}: {kind} reaches other places than the service")
        expect(policy["spec"]["ingress"] == [], f"{name}: pods can connect to the pod of {kind}")
    account = pod["spec"]["serviceAccountName"]
    expect(account != pod_of(objects)["spec"]["serviceAccountName"], f"{name}: {kind} has the role of the service")


def check_pod(name, kind, spec, service):
    """Compares the pod with that of the service."""
    (container,) = spec["containers"]
    (bridge,) = [part for part in service["containers"] if part["name"] == "protobridge"]
    for key in ("securityContext", "automountServiceAccountToken", "enableServiceLinks", "volumes", "initContainers"):
        expect(spec.get(key) == service.get(key), f"{name}: {kind} has another {key} than the service")
    for key in ("image", "securityContext", "volumeMounts", "env", "envFrom"):
        expect(container.get(key) == bridge.get(key), f"{name}: {kind} has another {key} than the service")


def check_restarts(name, kind, spec):
    expect(spec["template"]["spec"]["restartPolicy"] == "Never", f"{name}: the log of a failed pod of {kind} is lost")
    expect(spec["podReplacementPolicy"] == "Failed", f"{name}: two pods of {kind} can run at the same time")
    fail, ignore = spec["podFailurePolicy"]["rules"]
    wrong = {"containerName": kind, "operator": "In", "values": [2, 64]}
    expect(fail == {"action": "FailJob", "onExitCodes": wrong}, f"{name}: wrong arguments of {kind} are repeated")
    expect(ignore["onPodConditions"][0]["type"] == "DisruptionTarget", f"{name}: an eviction of {kind} is a failure")


def check_arguments(name, kind, arguments):
    """Lets the command parse the arguments. With `--help` at their end, it does nothing else."""
    start = [kind, "--config", "/etc/protobridge/config/protobridge.yaml"]
    expect(arguments[:3] == start, f"{name}: the arguments of {kind} begin with {arguments[:3]}")
    asks = not {"--yes", "--dry-run"} & set(arguments)
    expect(asks == (kind == "redrive"), f"{name}: {kind} would ask, and a Job cannot answer: {arguments}")
    resumes = {"--name", "--resume-if-begun"} <= set(arguments)
    expect(resumes == (kind == "replay" and "--yes" in arguments), f"{name}: a pod of {kind} begins anew: {arguments}")
    result = subprocess.run([PROTOBRIDGE, *arguments, "--help"], capture_output=True, text=True)
    expect(result.returncode == 0, f"{name}: {kind} does not accept its arguments:\n{result.stderr}")


def check_job_names():
    """A Job cannot be changed, so a changed pod must be a Job of another name, and an equal pod a Job of the same name."""
    values = HERE / "values/replay.yaml"

    def name(*more):
        return jobs_in(rendered(values, *more))["replay"]["metadata"]["name"]

    first = name()
    for change in ("replay.to=2026-11-28T12:06:00Z", "replay.args={--quarantined}", "image.tag=v9", "podLabels.a=b"):
        expect(name("--set", change) != first, f"the name of the Job stays the same with {change}")
    for change in ("replay.backoffLimit=1", "replay.ttlSecondsAfterFinished=1", "config.publish.linger_ms=5"):
        expect(name("--set", change) == first, f"the name of the Job changes with {change}")
    long = name("--set", f"fullnameOverride={'x' * 63}")
    expect(len(long) <= 63, f"the name of the Job has {len(long)} characters, but Kubernetes allows 63: {long}")
    only = rendered(values, "--show-only", "templates/replay.yaml")
    kinds = sorted(part["kind"] for part in only)
    expect(kinds == ["Job", "NetworkPolicy", "ServiceAccount"], f"templates/replay.yaml has {kinds}")
