"""Every values file of tests/chart with Helm 3 and Helm 4: install, upgrade, roll back, uninstall."""

import base64

from cluster import CHART, IMAGE, ROOT, Timer, require, until

NAMESPACE = "values"
FILES = sorted((ROOT / "tests/chart/values").glob("*.yaml"))
# The containers that these files add have no security context, as a user would forget it: `restricted` refuses the pod.
REFUSED = {"everything-else"}


def named(kind, *names, version="v1", **more):
    return [{"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more} for name in names]


def ground(cluster):
    """Makes what the values files presume: definitions of other operators, and objects that exist already."""
    cluster.make_namespace(NAMESPACE)
    crds = sorted((cluster.work.parent / "crds").glob("*.yaml"))
    files = [part for crd in crds for part in ("--filename", crd)]
    # One of them is too large for the annotation that `apply` on the client would write.
    cluster.kubectl("apply", "--server-side", *files)
    names = [part for crd in crds for part in (f"crd/{crd.stem}",)]
    cluster.kubectl("wait", "--for", "condition=Established", "--timeout", "60s", *names)
    claim = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "none",
    }
    sets = {"shop.binpb": base64.b64encode((ROOT / "descriptors/shop.binpb").read_bytes()).decode()}
    customers = {"customers.yaml": "customers: [{id: acme}]\n", "eu.yaml": "customers: [{id: acme}]\n"}
    cluster.apply(*named("PriorityClass", "events", "5", version="scheduling.k8s.io/v1", value=1000))
    cluster.apply(
        *named("ServiceAccount", "events", "auditors"),
        *named("ConfigMap", "customers", "event-customers", data=customers),
        *named("ConfigMap", "schemas", "released-schemas", "2026", binaryData=sets),
        *named("ConfigMap", "certificates"),
        *named("Secret", "redis", stringData={"url": "redis://redis.example.internal"}),
        *named("Secret", "aws-credentials"),
        *named("PersistentVolumeClaim", "customers", "schemas", "journal", spec=claim),
        namespace=NAMESPACE,
    )
    version = next(
        line.split('"')[1] for line in (CHART / "Chart.yaml").read_text().splitlines() if "appVersion:" in line
    )
    account = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/protobridge"
    cluster.tag(f"{IMAGE}:{version}", f"{IMAGE}:10", f"{account}:1.2.3")


class Matrix:
    def __init__(self, cluster):
        self.cluster, self.operations, self.refused = cluster, 0, set()

    def run(self):
        with Timer() as timer:
            ground(self.cluster)
            for file in FILES:
                for major in (4, 3):
                    self.cycle(file, major)
        require(self.refused == REFUSED, "the pods without a security context are refused", self.refused)
        checked = f"{len(FILES)} values files with Helm 3 and 4: install, upgrade, roll back, uninstall"
        figures = f"{self.operations} operations; `restricted` refuses extra containers without a security context"
        yield checked, timer.seconds, figures

    def cycle(self, file, major):
        release = f"h{major}-{file.stem}"
        values = ["--values", file]
        if file.stem == "minimal":
            text = self.cluster.work / "shop.b64"
            text.write_bytes(base64.encodebytes((ROOT / "descriptors/shop.binpb").read_bytes()))
            values += ["--set-file", rf"descriptors.inline.shop\.binpb={text}"]
        where = ["--namespace", NAMESPACE]

        def run(*command):
            return self.cluster.helm(major, *command, *where)

        run("install", release, CHART, *values)
        self.pods(file, release)
        run("upgrade", release, CHART, *values, "--set", "podAnnotations.round=second")
        require(self.round(release) == "second", f"{release} is upgraded")
        run("rollback", release, "1")
        require(self.round(release) is None, f"{release} is rolled back")
        run("uninstall", release)
        labels = f"app.kubernetes.io/instance={release}"
        kinds = "deployments,services,configmaps,serviceaccounts,networkpolicies,poddisruptionbudgets,jobs,"
        kinds += (
            "horizontalpodautoscalers,scaledobjects,triggerauthentications,servicemonitors,podmonitors,prometheusrules"
        )

        def left():
            return [
                f"{each['kind']} {each['metadata']['name']}" for each in self.cluster.list(kinds, NAMESPACE, labels)
            ]

        until(f"nothing of {release} is left", lambda: not left(), lambda: str(left()))
        self.operations += 4

    def deployment(self, release):
        labels = f"app.kubernetes.io/instance={release},app.kubernetes.io/component=bridge"
        (found,) = self.cluster.list("deployments", NAMESPACE, labels)
        return found

    def round(self, release):
        return self.deployment(release)["spec"]["template"]["metadata"]["annotations"].get("round")

    def pods(self, file, release):
        """Waits until Kubernetes has accepted or refused the pods."""

        def judged():
            status = self.deployment(release).get("status", {})
            failures = [each["message"] for each in status.get("conditions", []) if each["type"] == "ReplicaFailure"]
            return failures or status.get("replicas")

        found = until(f"the pods of {release} are judged", judged, lambda: self.cluster.logs(NAMESPACE))
        is_refused = isinstance(found, list)
        require(is_refused == (file.stem in REFUSED), f"`restricted` accepts the pods of {release}", found)
        require(not is_refused or "violates PodSecurity" in found[0], f"`restricted` refuses {release}", found)
        if is_refused:
            self.refused.add(file.stem)
