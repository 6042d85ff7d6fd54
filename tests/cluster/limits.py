"""What is too large for Kubernetes or for Helm, and what fits."""

import base64
import os

import yaml
from cluster import CHART, IMAGE, Timer, require

NAMESPACE = "limits"
KIBIBYTE = 1024


def values_of(name, size):
    """Returns values with an inline set of this size, which does not compress."""
    return {
        "image": {"repository": IMAGE},
        "config": {"aws": {"region": "eu-west-1"}, "queues": [{"url": "http://sqs.example.internal/1/events"}]},
        "replicaCount": 0,
        "customers": {"existingConfigMap": {"name": "customers"}},
        "descriptors": {"inline": {f"{name}.binpb": base64.b64encode(os.urandom(size)).decode()}},
    }


class Limits:
    def __init__(self, cluster):
        self.cluster = cluster
        cluster.make_namespace(NAMESPACE)

    def all(self):
        return [self.config_map, self.inline]

    def config_map(self):
        """`kubectl apply` on the client keeps a copy of the object in an annotation, which holds 256 KiB."""
        with Timer() as timer:
            file = self.cluster.work / "large.binpb"
            file.write_bytes(os.urandom(300 * KIBIBYTE))
            where = ["--namespace", NAMESPACE]
            make = ["create", "configmap", "schemas", *where, f"--from-file={file}"]
            text = self.cluster.kubectl(*make, "--dry-run=client", "--output", "yaml").stdout
            apply = ["apply", *where, "--filename", "-"]
            done = self.cluster.kubectl(*apply, text=text, check=False)
            require(
                done.returncode and "Too long" in done.stderr, "apply refuses a ConfigMap above 256 KiB", done.stderr
            )
            self.cluster.kubectl(*apply, "--server-side", text=text)
            self.cluster.kubectl("delete", "configmap", "schemas", *where)
            self.cluster.kubectl(*make)
        yield "a ConfigMap of 300 KiB: `apply` refuses it, `apply --server-side` and `create` work", timer.seconds, ""

    def inline(self):
        """The chart accepts what Helm can store, and refuses what Helm could not."""
        with Timer() as timer:
            largest = self.largest()
            require(largest >= 290_000, "the chart refuses nothing that is far from the limit", largest)
            for major in (4, 3):
                done = self.install(major, largest)
                require(not done.returncode, f"Helm {major} stores inline sets of {largest} bytes", done.stderr)
                self.cluster.helm(major, "uninstall", f"h{major}-large", "--namespace", NAMESPACE)
                done = self.install(major, largest + 1)
                refused = done.returncode and "descriptors.inline" in done.stderr
                require(refused, f"the chart refuses inline sets of {largest + 1} bytes", done.stderr)
        yield (
            "the chart refuses inline sets that Helm could not store, and Helm stores all others",
            timer.seconds,
            f"up to {largest:,} bytes",
        )

    def install(self, major, size):
        file = self.cluster.work / "large.yaml"
        file.write_text(yaml.safe_dump(values_of("large", size)))
        where = ["--namespace", NAMESPACE]
        return self.cluster.helm(major, "install", f"h{major}-large", CHART, *where, "--values", file, check=False)

    def largest(self):
        """Returns the largest size of inline sets that the chart accepts: the search needs no cluster."""
        low, high = 1, 1024 * KIBIBYTE + 1
        while high - low > 1:
            size = (low + high) // 2
            file = self.cluster.work / "probe.yaml"
            file.write_text(yaml.safe_dump(values_of("large", size)))
            accepted = not self.cluster.helm(4, "template", "probe", CHART, "--values", file, check=False).returncode
            low, high = (size, high) if accepted else (low, size)
        return low
