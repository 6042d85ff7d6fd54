"""Runs the consumers of the examples behind the service: each gets every event, with the right JSON, on two queues."""

import json
import os
import shlex
import subprocess
from collections import Counter

from scene import KIB, LIMIT, MODES, Producer, Scene, start
from stage import Replica, check, fail, say
from witness import Witness
from world import AWS, REGION, until

# The sizes of the largest events, in bytes: just below and just above what a message can carry, and far above.
EDGES = [LIMIT - 16 * KIB, LIMIT - 8 * KIB, LIMIT + KIB, 5 * KIB * KIB]
TOO_LARGE = 3


class Readers:
    def __init__(self, protobridge, endpoint, work, seed, consumers, events):
        self.consumers, self.count = dict(each.split("=", 1) for each in consumers), events
        self.names = [f"{language}-{number}" for language in self.consumers for number in (1, 2)]
        self.scene = Scene("readers", endpoint, work, MODES, [*self.names, "witness"])
        self.producer = Producer(self.scene, seed, 5 * KIB * KIB)
        self.replica = Replica(self.scene, "pod-a", protobridge)
        self.witness = Witness(self.scene, "witness", self.producer)

    def run(self):
        with self.replica as replica:
            start([replica], self.scene)
            with self.witness:
                self.produce()
                until("the queue is empty", lambda: self.scene.left() == 0, self.scene.logs)
            stored = replica.metric("protobridge_claims_stored_total")
            replica.stop()
        self.check_witness(stored)
        self.check_quarantine()
        reports = self.read()
        for name, events in reports.items():
            what = f"{name} acts once on each of {len(events)} events, with the right JSON"
            check(events == self.witness.events(), what, events.items() ^ self.witness.events().items())
        left = {name: self.scene.left(url) for name, url in self.scene.inboxes.items()}
        check(not any(left.values()), "each queue is empty afterwards", left)

    def produce(self):
        """Sends events of all sizes. Large events of the customer without a claim check cannot be published."""
        self.producer.send(self.count, 0)
        for _ in range(self.count // 10):
            self.producer.send_large(self.next_of("on", "always"))
        for size in EDGES:
            for mode in ("on", "always"):
                event = self.next_of(mode, size=size)
                self.producer.send_large(event)
        for _ in range(TOO_LARGE):
            self.producer.send_large(self.next_of("off"))

    def next_of(self, *modes, size=None):
        """Returns a large event of a customer with one of these modes, of a random size if there is none."""
        event = self.producer.next(True)
        while MODES[event.customer] not in modes:
            event = self.producer.next(True)
        if size:
            self.producer.annotate(event, size)
        return event

    def check_witness(self, stored):
        sent = {(event.type, event.id) for event in self.producer.sent.values()}
        refused = {(e.type, e.id) for e in self.producer.large().values() if MODES[e.customer] == "off"}
        arrived, witness = self.witness.events(), self.witness
        kinds = Counter(bool(delivery.key) for delivery in witness.deliveries)
        say(
            f"readers: {len(sent)} events sent, {len(self.producer.large())} of them large ({self.producer.ways}); "
            f"{len(witness.deliveries)} messages arrived: {kinds[False]} with their JSON, {kinds[True]} with a claim, "
            f"{witness.bytes / KIB / KIB:.0f} MiB in S3"
        )
        missing = sent - refused - arrived.keys()
        check(not missing, "every event arrives that a topic can take, or whose customer has a claim check", missing)
        check(len(witness.deliveries) == len(arrived), "no event arrives twice")
        check(witness.keys() == self.scene.keys(), "each object belongs to a message, and each pointer has its object")
        check(stored == len(witness.keys()), "the metric counts the objects", stored)

    def check_quarantine(self):
        found = self.scene.quarantined()
        refused = {id for id, event in self.producer.large().items() if MODES[event.customer] == "off"}
        text = [json.dumps(each, default=lambda value: value.hex() if isinstance(value, bytes) else str(value))
                for each in found]
        reasons = Counter("too_large" in each for each in text)
        is_right = len(found) == len(refused) == TOO_LARGE and reasons[True] == TOO_LARGE
        check(is_right, f"{TOO_LARGE} large events without a claim check are in quarantine: too_large", *text)

    def read(self):
        """Runs each consumer on each of its queues, all at once. Returns the events of each."""
        running = {}
        for name in self.names:
            command = shlex.split(self.consumers[name.rpartition("-")[0]])
            environment = consumer_environment(self.scene, name)
            with (self.scene.work / f"{name}.log").open("w") as log:
                pipes = {"stdout": subprocess.PIPE, "stderr": log, "text": True}
                running[name] = subprocess.Popen(command, env=environment, **pipes)
        return {name: self.events_of(name, process) for name, process in running.items()}

    def events_of(self, name, process):
        """Waits until a consumer ends. Returns the SHA-256 of the JSON of each event on which it acted."""
        output = process.communicate(timeout=300)[0]
        require(process.returncode == 0, f"{name} ends with {process.returncode}", output[-3000:], self.scene.logs())
        # No splitlines(), because a currency can have another separator of lines.
        *lines, report = output.rstrip("\n").split("\n")
        acted = [line.split()[1:] for line in lines if line.startswith("event ")]
        events = {(event_type, event_id): digest for event_type, event_id, digest in acted}
        report = json.loads(report)
        is_right = len(acted) == len(events) == report["acted"] and report["repeated"] == 0
        require(is_right, f"{name} acts twice on an event", len(acted), report)
        return events


def require(condition, what, *details):
    """Exits with an error if the condition is false."""
    if not condition:
        fail("\n".join([what, *map(str, details)]))


def consumer_environment(scene, name):
    """Returns the environment of a consumer that reads the queue with this name."""
    return os.environ | AWS | {
        "AWS_ENDPOINT_URL": scene.endpoint, "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, "STOP_WHEN_IDLE": "1",
        "QUEUE_URL": scene.inboxes[name], "DATABASE": str(scene.work / f"{name}-database"), "PRINT_EVENTS": "1",
    }
