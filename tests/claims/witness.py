"""A subscriber that looks at each message and each object itself, with boto3 alone."""

import base64
import hashlib
import json
import re
import threading
import urllib.parse
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from scene import LIMIT, MODES, POINTER, PREFIX, receive
from shop_events import same
from stage import client, fail

# SQS accepts this many attributes.
MOST_ATTRIBUTES = 10


@dataclass
class Delivery:
    """A message of an event. The key is empty if the message has the JSON itself."""

    event: tuple[str, str]
    key: str
    # When SNS sent the message to the queue, in seconds since the epoch.
    at: float
    sha256: str


class Witness(threading.Thread):
    """Reads one queue and checks each message against the event that was sent. Notes the deliveries."""

    def __init__(self, scene, subscriber, producer):
        super().__init__(daemon=True)
        self.scene, self.url, self.producer = scene, scene.inboxes[subscriber], producer
        self.sqs, self.s3 = client("sqs", scene.endpoint), client("s3", scene.endpoint)
        self.deliveries, self.bytes, self.wrong = [], 0, []
        self.has_ended = threading.Event()

    def run(self):
        while not self.has_ended.is_set():
            self.look(1)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.has_ended.set()
        self.join()
        while self.look():
            pass
        if self.wrong:
            fail("\n".join([f"{len(self.wrong)} messages are wrong", *self.wrong[:5]]))

    def look(self, wait_seconds=0):
        """Reads up to ten messages and returns their number."""
        messages = receive(self.sqs, self.url, wait_seconds)
        for each in messages:
            try:
                self.deliveries.append(self.check(each))
            except Exception as error:  # Everything that is not as it should be is a fault of the message.
                self.wrong.append(f"{error!r}: {each['Body'][:300]} {each.get('MessageAttributes')}")
        return len(messages)

    def check(self, message):
        attributes = message.get("MessageAttributes", {})
        require(len(attributes) <= MOST_ATTRIBUTES, f"it has {len(attributes)} attributes")
        values = {name: value["StringValue"] for name, value in attributes.items()}
        event = self.producer.sent[values["event-id"]]
        require(values["event-type"] == event.type, "the type is another one")
        require(values["customer-id"] == event.customer, "the customer is another one")
        require(values["content-type"] == "application/json", "the content type is another one")
        key, body = "", message["Body"].encode()
        size = sum(len(name.encode()) + len(each["DataType"]) + len(each["StringValue"].encode())
                   for name, each in attributes.items() if name != "ExtendedPayloadSize")
        if "ExtendedPayloadSize" in attributes:
            require(attributes["ExtendedPayloadSize"]["DataType"] == "Number", "the size is no Number")
            key, body = self.fetch(message["Body"], event.customer, message)
            require(values["ExtendedPayloadSize"] == str(len(body)), f"the object has {len(body)} bytes")
        is_over = len(body) + size > LIMIT
        expected = {"on": is_over, "always": True, "off": False}[MODES[event.customer]]
        require(bool(key) == expected, f"with {len(body)} + {size} bytes, it is {'a claim' if key else 'no claim'}")
        require(same(json.loads(body), event.json), "the JSON is another one")
        at = int(message["Attributes"]["SentTimestamp"]) / 1_000
        return Delivery((event.type, event.id), key, at, hashlib.sha256(body).hexdigest())

    def fetch(self, body, customer, message):
        """Returns the key and the content of the object to which the body points."""
        pointer = f'["{POINTER}",{{"s3BucketName":"{self.scene.bucket}","s3Key":"'
        require(body.startswith(pointer) and body.endswith('"}]'), "the pointer has another form")
        key = body[len(pointer) : -3]
        part = re.escape(urllib.parse.quote(customer, safe=""))
        parts = re.fullmatch(rf"{PREFIX}/{part}/(\d{{4}}-\d\d-\d\d)/[0-9a-f]{{64}}\.json", key)
        require(parts, "the key has another form")
        now = datetime.now(timezone.utc)
        require(parts[1] in {f"{now:%Y-%m-%d}", f"{now - timedelta(minutes=10):%Y-%m-%d}"}, "the key has another day")
        found = self.s3.get_object(Bucket=self.scene.bucket, Key=key, ChecksumMode="ENABLED")
        content = found["Body"].read()
        require(found["ContentType"] == "application/json", f"the object is {found['ContentType']}")
        require(not found.get("ContentEncoding"), "the object is encoded")
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        require(found.get("ChecksumSHA256") == checksum, f"the checksum is {found.get('ChecksumSHA256')}")
        content.decode()
        self.bytes += len(content)
        return key, content

    def events(self):
        """Returns the SHA-256 of the JSON of each event that arrived, by type and id."""
        return {delivery.event: delivery.sha256 for delivery in self.deliveries}

    def keys(self):
        return {delivery.key for delivery in self.deliveries if delivery.key}


def require(condition, what):
    if not condition:
        raise ValueError(what)
