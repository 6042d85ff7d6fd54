"""Kills replicas while large events flow: each pointer leads to its object, and no event is lost."""

import random
import time
from collections import Counter, defaultdict

from scene import KIB, Producer, Scene, start
from stage import Repeated, Replica, check, say
from witness import Witness
from world import until

# The shortest and the longest time between two kills, and the time between two batches, in seconds.
LEAST, MOST, PAUSE = 0.3, 2.0, 0.1
BATCH, LARGE = 6, 2
# The clocks of this program and of the emulator are one, but a killed process can have sent a call that is still read.
SLACK = 1


class Crashes:
    def __init__(self, protobridge, endpoint, work, seed, rounds):
        customers = ["acme", "globex", "umbrella"]
        self.scene = Scene("kills", endpoint, work, customers, ["one", "two"])
        # The versions of an object tell how often it was stored.
        versioning = {"Bucket": self.scene.bucket, "VersioningConfiguration": {"Status": "Enabled"}}
        self.scene.s3.put_bucket_versioning(**versioning)
        self.producer = Producer(self.scene, seed, 2 * KIB * KIB)
        self.witnesses = [Witness(self.scene, name, self.producer) for name in self.scene.inboxes]
        self.replicas = [Replica(self.scene, name, protobridge) for name in ["pod-a", "pod-b"]]
        self.rounds, self.chance, self.kills = rounds, random.Random(seed), []

    def run(self):
        one, two = self.witnesses
        with self.replicas[0] as first, self.replicas[1] as second, one, two:
            start(self.replicas, self.scene)
            with Repeated(lambda: self.producer.send(BATCH, LARGE), PAUSE):
                for _ in range(self.rounds):
                    self.kill_one()
            until("the queue is empty", lambda: self.scene.left() == 0, self.scene.logs)
            first.stop(), second.stop()
        self.compare()

    def kill_one(self):
        """Kills a replica at a random moment, and starts it again."""
        time.sleep(self.chance.uniform(LEAST, MOST))
        replica = self.chance.choice(self.replicas)
        self.kills.append(replica.kill())
        replica.start(self.scene.configure(replica.name))

    def compare(self):
        sent = {(event.type, event.id) for event in self.producer.sent.values()}
        say(
            f"kills: {len(self.kills)} kills of two replicas; {len(sent)} events sent, {len(self.producer.large())} of "
            f"them large ({self.producer.ways}); {len(self.scene.keys())} objects"
        )
        stored = self.scene.versions()
        again = {key for key, number in stored.items() if number > 1}
        repeated = Counter(delivery.key for delivery in self.witnesses[0].deliveries)
        before = [key for key in again if repeated[key] == 1]
        say(
            f"kills: {len(again)} objects were stored more than once, {len(before)} of them because a replica was killed "
            f"between PUT and publish"
        )
        for witness, name in zip(self.witnesses, self.scene.inboxes):
            self.compare_one(witness, name, sent)
        keys = self.witnesses[0].keys() | self.witnesses[1].keys()
        orphans = self.scene.keys() - keys
        check(not orphans, "each object belongs to a message, so a crash leaves no orphan", *orphans)
        check(not self.scene.left(self.scene.quarantine), "no message is in quarantine")

    def compare_one(self, witness, name, sent):
        """The witness has checked the object of each pointer when the message arrived. It does so again."""
        by_event = defaultdict(list)
        for delivery in witness.deliveries:
            by_event[delivery.event].append(delivery)
        repeated = {event: found for event, found in by_event.items() if len(found) > 1}
        claims = [delivery for delivery in witness.deliveries if delivery.key]
        say(
            f"kills: queue {name}: {len(witness.deliveries)} messages, {len(claims)} of them pointers; "
            f"{len(repeated)} events arrived more than once, {sum(map(len, repeated.values())) - len(repeated)} copies"
        )
        check(not sent - by_event.keys(), "every event arrives", sent - by_event.keys())
        lost = witness.keys() - self.scene.keys()
        check(claims and not lost, "the object of each pointer is still there", *lost)
        differ = [found for found in repeated.values() if len({(each.key, each.sha256) for each in found}) > 1]
        check(not differ, "each copy of an event has the same object and the same JSON", *differ[:3])
        early = [found for found in repeated.values() if not self.is_explained(found)]
        check(not early, "between two copies of an event, a replica was killed", *early[:3], self.kills)

    def is_explained(self, found):
        times = sorted(delivery.at for delivery in found)
        pairs = zip(times, times[1:])
        return all(any(a - SLACK <= kill <= b for kill in self.kills) for a, b in pairs)
