"""The cluster as the checks use it: kubectl as the administrator, and Helm as a user with few permissions."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))

from world import until  # noqa: E402

CHART = ROOT / "charts/protobridge"
ROLE = ROOT / "examples/kubernetes/deployer.yaml"
IMAGE = "registry.example.internal/protobridge"


class Failed(Exception):
    """A check that failed."""


def require(condition, what, *details):
    if not condition:
        raise Failed("\n".join([what, *map(str, details)]))


@dataclass
class Report:
    """The rows of the report: the step, what was checked, seconds, figures."""

    rows: list = field(default_factory=list)

    def add(self, step, checked, seconds, figures=""):
        self.rows.append((step, checked, seconds, figures))
        print(f"cluster: {step}: {checked} ({seconds:.1f} s) {figures}", flush=True)

    def text(self):
        lines = ["| step | what was checked | seconds | figures |", "|---|---|---|---|"]
        lines += [
            f"| {step} | {checked} | {seconds:.0f} | {figures} |" for step, checked, seconds, figures in self.rows
        ]
        return "\n".join(lines) + "\n"


class Cluster:
    """The programs and their settings. `helms` has the paths of Helm by major version."""

    def __init__(self, work, helms):
        self.work, self.helms = work, helms
        self.tools = os.environ["PATH"]

    def kubectl(self, *arguments, user="admin", text=None, check=True, timeout=180):
        command = ["kube", "kubectl", "--kubeconfig", self.work / f"conf/{user}.kubeconfig", *arguments]
        return self.run(command, text, check, timeout)

    def helm(self, major, *arguments, check=True, timeout=300):
        """Runs Helm as the user `deployer`."""
        command = [self.helms[major], "--kubeconfig", self.work / "conf/deployer.kubeconfig", *arguments]
        return self.run(command, None, check, timeout)

    def run(self, command, text, check, timeout):
        homes = {f"HELM_{kind}_HOME": str(self.work / "helm" / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        # kubectl caches the API's description here.
        environment = os.environ | homes | {"HOME": str(self.work)}
        command = [*map(str, command)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=timeout, env=environment)
        if check and done.returncode:
            raise Failed(f"{' '.join(command[:12])} exits with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def apply(self, *objects, namespace=None):
        where = ["--namespace", namespace] if namespace else []
        self.kubectl("apply", *where, "--filename", "-", text=yaml.safe_dump_all(objects))

    def get(self, kind, name, namespace):
        """Returns an object; None if there is none."""
        done = self.kubectl("--namespace", namespace, "get", kind, name, "--output", "json", check=False)
        require(not done.returncode or "NotFound" in done.stderr, f"get {kind} {name}", done.stderr)
        return json.loads(done.stdout) if not done.returncode else None

    def list(self, kinds, namespace, labels=""):
        done = self.kubectl("--namespace", namespace, "get", kinds, "--selector", labels, "--output", "json")
        return json.loads(done.stdout)["items"]

    def make_namespace(self, name):
        """Makes a namespace under PodSecurity `restricted`, in which the deployer has the Role of examples/."""
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        role = yaml.safe_load(ROLE.read_text())
        group = "rbac.authorization.k8s.io"
        binding = {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "deployer"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": role["metadata"]["name"]},
            "subjects": [{"kind": "User", "name": "deployer", "apiGroup": group}],
        }
        self.apply(role, binding, namespace=name)

    def tag(self, *names):
        """Gives the image of the service these names, as if the kubelet had pulled them."""
        ctr = [
            "ctr",
            "--address",
            "/run/containerd/containerd.sock",
            "--namespace",
            "k8s.io",
            "images",
            "tag",
            "--force",
        ]
        self.run([*ctr, "localhost/protobridge:test", *names], None, True, 60)

    def logs(self, namespace):
        """Returns the pods of a namespace, its events and the ends of the logs, for a check that failed."""
        parts = [["get", "all", "--output", "wide"], ["get", "events", "--sort-by", ".lastTimestamp"]]
        texts = [self.kubectl("--namespace", namespace, *part, check=False).stdout for part in parts]
        for pod in self.list("pods", namespace):
            name = pod["metadata"]["name"]
            log = self.kubectl("--namespace", namespace, "logs", name, "--tail", "15", check=False)
            texts.append(f"--- {name}\n{log.stdout}{log.stderr}")
        return "\n".join(texts)


def is_ready(pod):
    conditions = {each["type"]: each["status"] for each in pod.get("status", {}).get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


class Background:
    """Runs steps in a thread of its own, because most of their time is spent waiting for Kubernetes."""

    def __init__(self, *steps):
        self.steps, self.rows, self.error = steps, [], None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            for step in self.steps:
                self.rows += step()
        # Also SystemExit, with which `until` ends.
        except BaseException as error:
            self.error = error

    def finish(self):
        self.thread.join()
        if self.error:
            raise self.error
        yield from self.rows


class Timer:
    """`with Timer() as timer: …`; then `timer.seconds`."""

    def __enter__(self):
        self.start = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.start


__all__ = [
    "Background",
    "CHART",
    "IMAGE",
    "ROOT",
    "Cluster",
    "Failed",
    "Report",
    "Timer",
    "is_ready",
    "require",
    "until",
]
