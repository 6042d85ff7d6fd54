"""A release of the chart: its values, Helm, its pods, and what they answer."""

import base64
import json
import re

import yaml
from cluster import CHART, IMAGE, ROOT, is_ready, until
from outside import ENDPOINT
from traffic import client
from world import AWS, REGION, get


def subscribe(topic, queue, raw=True):
    """Subscribes a queue to a topic."""
    answer = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    attributes = {"RawMessageDelivery": "true" if raw else "false"}
    endpoint = answer["Attributes"]["QueueArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint, Attributes=attributes)


def values_of(source, quarantine, topics):
    """Returns values for a queue and its customers, behind a NetworkPolicy. `topics` has the topics by customer."""
    sets = {each.name: base64.b64encode(each.read_bytes()).decode() for each in (ROOT / "descriptors").glob("*.binpb")}
    return {
        "image": {"repository": IMAGE, "tag": "1"},
        "config": {
            "aws": {"region": REGION, "endpoint_url": ENDPOINT},
            "queues": [{"name": "events", "url": source, "quarantine_url": quarantine}],
            "taps": {"customer": ["meta.tenant_id", "tenant_id"], "event_id": ["meta.event_id", "event_id"]},
        },
        "customers": {"inline": [{"id": key, "topic": topic} for key, topic in topics.items()]},
        "descriptors": {"inline": sets},
        "networkPolicy": {"enabled": True},
        "extraEnv": [{"name": key, "value": value} for key, value in AWS.items()],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "640Mi"}},
    }


class Release:
    """A release and its namespace, in which Helm has the Role of examples/."""

    def __init__(self, cluster, release, namespace, values):
        self.cluster, self.release, self.namespace, self.values = cluster, release, namespace, values
        self.name = f"{release}-protobridge"
        self.labels = f"app.kubernetes.io/instance={release}"
        self.service = f"app.kubernetes.io/component=bridge,{self.labels}"
        cluster.make_namespace(namespace)

    def helm(self, major, *arguments, **options):
        return self.cluster.helm(major, *arguments, "--namespace", self.namespace, **options)

    def values_file(self):
        file = self.cluster.work / f"{self.release}.yaml"
        file.write_text(yaml.safe_dump(self.values))
        return file

    def upgrade(self, *options, major=4, check=True, wait=True):
        wait = ["--wait", "--timeout", "120s"] if wait else []
        options = ["--values", self.values_file(), *wait, *options]
        return self.helm(major, "upgrade", "--install", self.release, CHART, *options, check=check)

    def kubectl(self, *arguments, **options):
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, **options)

    def pods(self, labels=None):
        """Returns the pods of the service, or of these labels, that are not about to end."""
        found = self.cluster.list("pods", self.namespace, labels or self.service)
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def uids(self):
        return {pod["metadata"]["uid"] for pod in self.pods()}

    def ready(self):
        return [pod for pod in self.pods() if is_ready(pod)]

    def until_ready(self, count):
        until(f"{count} pods are ready", lambda: len(self.pods()) == count == len(self.ready()), self.logs)

    def logs(self):
        return self.cluster.logs(self.namespace)

    def admin(self, path, pod=None):
        """Returns the answer of a pod's admin endpoint. The node reaches it despite the policy, as the kubelet must."""
        pod = pod or self.ready()[0]
        return get(f"http://{pod['status']['podIP']}:8080{path}")[1]

    def published(self, pod):
        """Returns the number of messages that a pod has published."""
        pattern = r'^protobridge_messages_settled_total\{.*outcome="published".*\} (\d+)'
        return sum(map(int, re.findall(pattern, self.admin("/metrics", pod), re.M)))

    def status(self, pod=None):
        return json.loads(self.admin("/status", pod))
