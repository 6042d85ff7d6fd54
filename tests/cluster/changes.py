"""Customers and descriptor sets that change while the service runs."""

import base64
import json
import re
import time

from cluster import require, until
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from release import Release, subscribe, values_of
from traffic import client, entry


def new_type(name):
    """Returns a descriptor set with a message of this name, and its class."""
    files = descriptor_pb2.FileDescriptorSet()
    file = files.file.add(name=f"{name}.proto", package="live.v1", syntax="proto3")
    message = file.message_type.add(name=name)
    for number, each in enumerate(["event_id", "tenant_id"], 1):
        kind, label = (
            descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
            descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
        )
        message.field.add(name=each, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return files.SerializeToString(), message_factory.GetMessageClass(pool.FindMessageTypeByName(f"live.v1.{name}"))


# The number of changes.
ROUNDS = 2


class Changes(Release):
    """A release of its own, because a change waits for the kubelet most of its time."""

    def __init__(self, cluster):
        self.sqs = client("sqs")
        self.source, quarantine = (self.sqs.create_queue(QueueName=f"changes{end}")["QueueUrl"] for end in ("", "-bad"))
        topic = client("sns").create_topic(Name="steady")["TopicArn"]
        super().__init__(cluster, "steady", "changes", values_of(self.source, quarantine, {"steady": topic}))

    def run(self):
        self.upgrade()
        for number in range(ROUNDS):
            yield from self.change(number)

    def change(self, number):
        """Adds a customer and a set, which the chart writes to ConfigMaps. Measures the time until both are in force."""
        customer, name = f"newcomer{number}", f"Happened{number}"
        content, kind = new_type(name)
        topic = client("sns").create_topic(Name=customer)["TopicArn"]
        queue = self.sqs.create_queue(QueueName=customer)["QueueUrl"]
        subscribe(topic, queue)
        (pod,) = self.ready()
        counts = {what: self.admitted(what, pod) for what in ("descriptors", "customers")}
        self.values["customers"]["inline"].append({"id": customer, "topic": topic})
        self.values["descriptors"]["inline"][f"{name.lower()}.binpb"] = base64.b64encode(content).decode()
        self.upgrade()
        start, times = time.monotonic(), {}

        def is_in_force():
            for what, count in counts.items():
                if what not in times and self.admitted(what, pod) > count:
                    times[what] = time.monotonic() - start
            return len(times) == len(counts)

        until("a changed ConfigMap is in force", is_in_force, self.logs, 180)
        event = kind(event_id=f"live-{number}", tenant_id=customer).SerializeToString()
        self.sqs.send_message_batch(QueueUrl=self.source, Entries=[entry(0, f"live.v1.{name}", event)])

        def received():
            return self.sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages")

        (message,) = until("an event of the new type reaches the new customer", received, self.logs)
        require(json.loads(message["Body"])["eventId"] == f"live-{number}", "it is that event", message)
        require(self.uids() == {pod["metadata"]["uid"]}, "no pod restarts")
        figures = f"sets after {times['descriptors']:.0f} s, customers after {times['customers']:.0f} s"
        yield "a new customer and a new set are in force without a restart", time.monotonic() - start, figures

    def admitted(self, what, pod):
        """Returns the number of changes of sets or customers that are in force."""
        pattern = rf'^protobridge_reloads_total\{{(?=.*what="{what}")(?=.*result="admitted").*\}} (\d+)'
        found = re.search(pattern, self.admin("/metrics", pod), re.M)
        return int(found[1]) if found else 0
