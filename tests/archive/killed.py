"""Kills replicas: a message that was deleted from its queue is in the archive, or in a gap that the archive declares.

Each process talks to SQS through a proxy of its own, so that it is known which process deleted a message, and when.
"""

import json
import math
import random
import time
from datetime import datetime

from kills import MICROS, Life, stamp
from proxy import Proxy
from scene import Scene, by_duckdb, require
from stage import BATCH, Command, Repeated, Replica, say
from world import until

# The shortest and the longest time between two kills, and the time between two batches of the producers, in seconds.
LEAST, MOST, PAUSE = 0.1, 1.6, 0.05


class Kills:
    def __init__(self, protobridge, endpoint, work, seed, rounds):
        self.scene, self.rounds, self.chance = Scene("kills", endpoint, work), rounds, random.Random(seed)
        self.folder = self.scene.work / "store"
        self.store = {"url": f"file://{self.folder}"}
        self.replicas, self.lives = [Replica(self.scene, name, protobridge) for name in ["pod-a", "pod-b"]], []
        self.command = Command(protobridge, self.scene.configure("reader", self.store))
        self.window, self.rows, self.gaps = [], {}, []

    def run(self):
        begin = stamp(int((time.time() - 1) * MICROS))
        with self.replicas[0] as one, self.replicas[1] as two:
            self.start(one), self.start(two)
            with Repeated(lambda: self.scene.send(BATCH), PAUSE):
                for _ in range(self.rounds):
                    self.kill_one()
            # The last processes drain the queues and stop in order.
            self.scene.until_arrived(self.scene.event_ids().values())
            until("the queues are empty", lambda: self.scene.left() == 0, self.scene.logs)
            one.stop(), two.stop()
        for life in self.lives:
            life.proxy.close()
        self.window = [f"--from={begin}", f"--to={stamp(int(time.time() * MICROS))}"]
        self.compare()

    def start(self, replica):
        life = Life(replica.name, time.time())
        life.proxy = Proxy(self.scene.endpoint, life.watch)
        self.lives.append(life)
        # Several flushes lie between two kills.
        archive = {"enabled": True, "flush_ms": 400}
        endpoints = {"endpoint_url": life.proxy.url}
        replica.start(self.scene.configure(replica.name, self.store, endpoints, archive=archive))

    def kill_one(self):
        """Kills a replica at a random moment, and starts it again."""
        time.sleep(self.chance.uniform(LEAST, MOST))
        replica = self.chance.choice(self.replicas)
        life = [life for life in self.lives if life.replica == replica.name][-1]
        life.killed = replica.kill()
        self.start(replica)

    def compare(self):
        sent, (self.rows, count) = self.scene.sent(), by_duckdb(self.folder)
        stat = json.loads(self.command.run("archive", "stat", *self.window, "--json"))
        self.gaps = stat["gaps"]
        different = [key for key, row in self.rows.items() if sent.get(key) != row]
        require(not different, "the archive has messages as they were sent", *different[:3])
        require(stat["messages"] == len(self.rows), "`archive stat` counts the messages", stat["messages"])
        missing = [key for key in sent if key not in self.rows]
        outside = [self.describe(key) for key in missing if not self.is_declared(key)]
        what = f"{len(outside)} deleted messages are neither archived nor in a gap"
        require(not outside, what, *outside[:9], *self.gaps)
        # A message of a standard queue is deleted only after the archive has it.
        events = self.scene.producers[0].messages
        require(not set(events) & set(missing), "no message of the standard queue is missing")
        killed = [life for life in self.lives if life.killed]
        busy = [life for life in killed if life.deleted]
        say(
            f"kills: {len(killed)} kills of two replicas, {len(busy)} of them after deletes; {len(sent)} messages were "
            f"sent and deleted, {len(self.rows)} are archived in {count} rows, {len(missing)} of the FIFO queue are in "
            f"{len(self.gaps)} declared gaps, 0 elsewhere"
        )

    def is_declared(self, key):
        """Whether a gap of a process that deleted the message has the time of the delete."""
        lives = [life for life in self.lives if key in life.deleted]
        # The proxy can note a delete after its process was killed.
        times = [(life, min(life.deleted[key], life.killed or math.inf)) for life in lives]
        return any(self.has_gap(life, at) for life, at in times)

    def has_gap(self, life, at):
        def is_right(gap):
            began = int(gap["incarnation"][:12], 16) / 1_000
            is_own = gap["replica"] == life.replica and life.began - 0.001 <= began <= (life.killed or time.time())
            return is_own and seconds(gap["from"]) <= at and (gap["to"] is None or at <= seconds(gap["to"]))

        return any(map(is_right, self.gaps))

    def describe(self, key):
        lives = [life for life in self.lives if key in life.deleted]
        times = [(life.replica, life.began, life.deleted[key], life.killed) for life in lives]
        return key, self.scene.sent()[key][:80], times


def seconds(text):
    return datetime.fromisoformat(text).timestamp()
