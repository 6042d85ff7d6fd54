"""The scene of the checks: customers with and without a claim check, and queues that subscribe to all their topics."""

import base64
import gzip
import json
import math
import random
import threading
import time
from collections import Counter

import shop_events
import yaml
from stage import BATCH, DESCRIPTORS, check_entries, client
from world import REGION, free_port

KIB = 1024
# What each customer has as `claim_check`. Their number is odd, so that each gets events of all types. One id cannot be
# a part of a key as it is.
MODES = {"acme": "on", "globex": "always", "initech": "off", "umbrella": "on", "Größe & Co/7 %": "always"}
BUCKET, PREFIX = "acme-claims", "claims"
# The bucket to which the producer's own pointers point.
PAYLOADS = "producer-payloads"
# What SNS accepts, and the default of `claim_check.over_bytes`.
LIMIT = 256 * KIB
POINTER = "software.amazon.payloadoffloading.PayloadS3Pointer"
TEXT = 'Größe "42"\n€ 😀 '


class Scene:
    """A source queue, a topic per customer, and for each subscriber a queue that gets the events of all customers."""

    def __init__(self, name, endpoint, work, customers, subscribers):
        self.name, self.endpoint, self.work, self.customers = name, endpoint, work / name, customers
        self.work.mkdir()
        self.sqs, self.sns, self.s3 = (client(service, endpoint) for service in ("sqs", "sns", "s3"))
        self.bucket, self.payloads = f"{name}-{BUCKET}", f"{name}-{PAYLOADS}"
        for bucket in (self.bucket, self.payloads):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.source, self.quarantine = self.queue("events"), self.queue("quarantine")
        names = {customer: f"{name}-customer-{number}" for number, customer in enumerate(customers)}
        self.topics = {customer: self.sns.create_topic(Name=names[customer])["TopicArn"] for customer in customers}
        self.inboxes = {subscriber: self.queue(subscriber) for subscriber in subscribers}
        for topic in self.topics.values():
            for inbox in self.inboxes.values():
                self.subscribe(topic, inbox)

    def queue(self, name, **attributes):
        return self.sqs.create_queue(QueueName=f"{self.name}-{name}", Attributes=attributes)["QueueUrl"]

    def subscribe(self, topic, inbox, **attributes):
        """Subscribes a queue, with raw delivery unless the attributes have another value."""
        queue = self.sqs.get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        attributes = {"RawMessageDelivery": "true"} | attributes
        self.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=attributes)

    def configure(self, name):
        """Writes a configuration and returns its path."""
        config = {
            "aws": {"region": REGION, "endpoint_url": self.endpoint},
            "queues": [{"name": "events", "url": self.source, "quarantine_url": self.quarantine}],
            "receive": {"wait_seconds": 1, "depth_seconds": 0},
            "visibility": {"timeout_seconds": 5},
            "envelope": {"max_payload_bytes": 16 * KIB * KIB, "s3_buckets": [self.payloads]},
            "descriptors": {"path": str(DESCRIPTORS)},
            "taps": {"customer": ["meta.tenant_id", "tenant_id"], "event_id": ["meta.event_id", "event_id"]},
            "route": {"customers_file": "customers.yaml"},
            "claim_check": {"bucket": self.bucket, "key_prefix": PREFIX},
            "admin": {"listen": f"127.0.0.1:{free_port()}"},
        }
        lines = [f"  - {{id: '{id}', topic: '{topic}', claim_check: {MODES[id]}}}" for id, topic in self.topics.items()]
        (self.work / "customers.yaml").write_text("\n".join(["customers:", *lines, ""]))
        path = self.work / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    def left(self, url=None):
        """Returns the number of messages on a queue, including those in flight. Default: the source queue."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=url or self.source, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def quarantined(self):
        """Returns the messages in quarantine: the event type, the payload and the reason of each."""
        found = []
        while messages := receive(self.sqs, self.quarantine):
            found += messages
        return found

    def keys(self):
        """Returns the keys of all claims."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {each["Key"] for page in pages for each in page.get("Contents", [])}

    def versions(self):
        """Returns the number of times that each claim was stored, by key."""
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket)
        return Counter(each["Key"] for page in pages for each in page.get("Versions", []))

    def logs(self):
        """Returns the last lines of each log."""
        files = {file.name: file.read_text(errors="replace").splitlines() for file in sorted(self.work.glob("*.log"))}
        return "\n".join(line for name, lines in files.items() for line in [f"--- {name}", *lines[-15:]])


def receive(sqs, url, wait_seconds=0):
    """Receives up to ten messages with all attributes, deletes them and returns them."""
    options = {"MaxNumberOfMessages": BATCH, "WaitTimeSeconds": wait_seconds, "MessageAttributeNames": ["All"]}
    messages = sqs.receive_message(QueueUrl=url, AttributeNames=["All"], **options).get("Messages", [])
    if messages:
        entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
        check_entries(sqs.delete_message_batch(QueueUrl=url, Entries=entries))
    return messages


class Producer:
    """Sends events of the shop. `sent` has them by id; their `json` is what Python's Protobuf library makes of them."""

    def __init__(self, scene, seed, most_bytes):
        self.scene, self.chance, self.most_bytes = scene, random.Random(seed), most_bytes
        self.sqs, self.s3 = client("sqs", scene.endpoint), client("s3", scene.endpoint)
        name = f"{scene.name}-{seed}-{time.time_ns()}"
        self.events = shop_events.events(DESCRIPTORS / "shop.binpb", name, 1_000_000, list(scene.customers))
        self.sent, self.lock, self.ways = {}, threading.Lock(), {"plain": 0, "gzip": 0, "pointer": 0}

    def next(self, is_large):
        """Returns a new event. A large one has a note that SNS cannot take, of a random size."""
        event = next(self.events)
        while is_large and event.type != "shop.v1.OrderPlaced":
            event = next(self.events)
        if is_large:
            # As many events for each order of magnitude.
            self.annotate(event, int(math.exp(self.chance.uniform(math.log(300 * KIB), math.log(self.most_bytes)))))
        return event

    def annotate(self, event, size):
        """Gives an order a note of about this size in bytes."""
        note = (event.id + TEXT) * (size // len((event.id + TEXT).encode()) + 1)
        data = note.encode()
        # The field 14. Of a field that occurs twice, the last one counts.
        event.payload += b"\x72" + varint(len(data)) + data
        event.json["note"] = note
        event.size = size

    def send(self, count, large):
        """Sends this number of new events, of which `large` are large."""
        small = [self.next(False) for _ in range(count - large)]
        for first in range(0, len(small), BATCH):
            batch = small[first : first + BATCH]
            self.note(batch)
            entries = [{"Id": str(number), **message(event)} for number, event in enumerate(batch)]
            check_entries(self.sqs.send_message_batch(QueueUrl=self.scene.source, Entries=entries))
        for _ in range(large):
            self.send_large(self.next(True))

    def send_large(self, event):
        """Sends a large event in one of the three ways in which a producer can send it."""
        self.note([event])
        way = self.chance.choice(["plain", "gzip", "pointer"])
        if way == "plain" and len(event.payload) > 900 * KIB:
            way = "pointer"
        self.ways[way] += 1
        if way == "plain":
            entry = message(event)
        elif way == "gzip":
            entry = message(event, gzip.compress(event.payload), **{"content-encoding": text("gzip")})
        else:
            key, body = f"events/{event.id}", base64.b64encode(event.payload)
            self.s3.put_object(Bucket=self.scene.payloads, Key=key, Body=body)
            pointer = [POINTER, {"s3BucketName": self.scene.payloads, "s3Key": key}]
            size = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": str(len(body))}}
            attributes = {"message-type": text(event.type)} | size
            entry = {"MessageBody": json.dumps(pointer), "MessageAttributes": attributes}
        self.sqs.send_message(QueueUrl=self.scene.source, **entry)

    def note(self, events):
        """Notes events before they are sent, because a subscriber can be faster than the answer."""
        with self.lock:
            self.sent |= {event.id: event for event in events}

    def large(self):
        return {id: event for id, event in self.sent.items() if hasattr(event, "size")}


def text(value):
    return {"DataType": "String", "StringValue": value}


def message(event, payload=None, **attributes):
    """Returns a message of SQS with the payload as an attribute."""
    attributes["message-type"] = text(event.type)
    attributes["payload"] = {"DataType": "Binary", "BinaryValue": payload or event.payload or b"\0"}
    return {"MessageBody": "-", "MessageAttributes": attributes}


def varint(number):
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def start(replicas, scene):
    for replica in replicas:
        replica.start(scene.configure(replica.name))
    for replica in replicas:
        replica.until_ready()
