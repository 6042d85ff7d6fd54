"""Shows what docs/consumers.md warns of: the wrong subscriptions, a client that deletes objects, and a missing object.

The messages are as protobridge sends them. The service is not needed.
"""

import json
import shlex
import subprocess

from readers import consumer_environment
from scene import POINTER, PREFIX, Scene, text
from stage import check

# The readers that fetch the objects while they receive, so that one missing object fails the whole call.
EXTENDED = {"java", "python-extended"}
KEY = f"{PREFIX}/acme/large.json"
SMALL = '{"total":{"currency":"EUR"}}'


class Defaults:
    def __init__(self, endpoint, work, consumers, deleting):
        self.consumers, self.deleting = dict(each.split("=", 1) for each in consumers), deleting
        self.scene = Scene("defaults", endpoint, work, ["acme"], ["deleting", *self.consumers])
        topic, inboxes = self.scene.topics["acme"], self.scene.inboxes
        policy = {"FilterPolicy": '{"total": {"currency": ["EUR"]}}', "FilterPolicyScope": "MessageBody"}
        for name, attributes in {"wrapped": {"RawMessageDelivery": "false"}, "filtered": policy}.items():
            inboxes[name] = self.scene.queue(name)
            self.scene.subscribe(topic, inboxes[name], **attributes)

    def run(self):
        """The events are one with its JSON, and one whose JSON is in S3 until the first subscriber has read it."""
        self.publish("small", SMALL)
        self.scene.s3.put_object(Bucket=self.scene.bucket, Key=KEY, Body=SMALL)
        pointer = json.dumps([POINTER, {"s3BucketName": self.scene.bucket, "s3Key": KEY}])
        self.publish("large", pointer, ExtendedPayloadSize={"DataType": "Number", "StringValue": str(len(SMALL))})
        self.check_subscriptions()
        self.delete_object()
        for language, command in self.consumers.items():
            done, left = self.consume(language, command)
            if language in EXTENDED:
                is_right = done.returncode != 0 and "key does not exist" in done.stdout + done.stderr and left == 2
                check(is_right, f"{language}: receive fails, and no message of the call is read", done, left)
            else:
                is_right = done.returncode == 0 and '"acted": 1' in done.stdout.replace(":1", ": 1") and left == 1
                check(is_right, f"{language}: only the message without its object stays on the queue", done, left)

    def check_subscriptions(self):
        left = self.scene.left(self.scene.inboxes["filtered"])
        check(left == 1, "a filter on the body drops the large event, whose JSON it would accept", left)
        done, left = self.consume("wrapped", self.consumers["python"])
        is_right = done.returncode == 0 and '"acted": 0' in done.stdout and left == 2
        check(is_right, "without raw delivery, no reader finds the attributes", done, left)

    def delete_object(self):
        """Reads the events with the default of the client for Java, if there is Java."""
        if self.deleting:
            done, left = self.consume("deleting", self.deleting)
            is_right = done.returncode == 0 and '"acted":2' in done.stdout and not left
            check(is_right, "the client for Java reads a large event with its default, `true`", done, left)
            check(not self.scene.keys(), "and has deleted the object")
        else:
            self.scene.s3.delete_object(Bucket=self.scene.bucket, Key=KEY)

    def publish(self, event_id, body, **attributes):
        values = {"event-type": "shop.v1.OrderPlaced", "event-id": event_id, "customer-id": "acme"}
        attributes |= {name: text(value) for name, value in values.items()}
        self.scene.sns.publish(TopicArn=self.scene.topics["acme"], Message=body, MessageAttributes=attributes)

    def consume(self, name, command):
        """Runs a consumer. Returns its result, and the number of messages that are left on its queue."""
        environment = consumer_environment(self.scene, name)
        done = subprocess.run(shlex.split(command), env=environment, capture_output=True, text=True, timeout=120)
        return done, self.scene.left(self.scene.inboxes[name])
