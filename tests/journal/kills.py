"""Kills replicas: a delivery without a row lies in a hole that the journal declares, in that of the killed process.

Each process talks to SQS and SNS through a proxy of its own, so that for each delivery the process is known that
published it, and for each row the latest time at which it was recorded: before the delete of its SQS message.
"""

import json
import random
import re
import time
from dataclasses import dataclass, field

import duckdb

from proxy import Proxy
from segments import processes
from stage import BATCH, Command, Repeated, Replica, Stage, check, say
from world import until

ROUNDS = 20
# The shortest and the longest time between two kills.
LEAST, MOST = 0.1, 1.6
# The time between two batches of the producer.
PAUSE = 0.05
MICROS = 1_000_000


@dataclass
class Life:
    """One process of a replica, from its start to its end, as its proxy saw it."""

    replica: str
    began: float
    proxy: Proxy = None
    # When it was dead; None if it stopped in order.
    killed: float = None
    # The SNS message ids that it was told, with the time.
    published: dict = field(default_factory=dict)
    # The SQS message ids whose delete it asked for, with the time.
    deleted: dict = field(default_factory=dict)
    handles: dict = field(default_factory=dict)

    def watch(self, call):
        """Notes what the process does."""
        operation = call.headers.get("x-amz-target", "").removeprefix("AmazonSQS.")
        if b"Action=PublishBatch" in call.body:
            for entry in re.findall(rb"<member>.*?</member>", call.answer.partition(b"<Failed")[0], re.DOTALL):
                self.published[re.search(rb"<MessageId>(.*?)</MessageId>", entry)[1].decode()] = call.at
        elif operation == "ReceiveMessage":
            for message in json.loads(call.answer).get("Messages", []):
                self.handles[message["ReceiptHandle"]] = message["MessageId"]
        elif operation == "DeleteMessageBatch":
            for entry in json.loads(call.body)["Entries"]:
                self.deleted[self.handles[entry["ReceiptHandle"]]] = call.at


class Kills:
    def __init__(self, protobridge, endpoint, work, seed):
        self.stage, self.processes, self.inside, self.window = Stage("kills", endpoint, work), [], [], []
        self.folder = work / "kills/store"
        self.replicas = [Replica(self.stage, name, protobridge) for name in ["pod-a", "pod-b"]]
        self.lives, self.chance, self.seed = [], random.Random(seed), seed
        self.command = Command(protobridge, self.stage.configure("reader", {"url": f"file://{self.folder}"}))

    def run(self):
        say(f"killing one of two replicas, {ROUNDS} times (seed {self.seed})")
        self.window = [int((time.time() - 1) * MICROS)]
        producing = Repeated(lambda: self.stage.producer.send(BATCH), PAUSE)
        consuming = Repeated(self.stage.consumer.receive)
        with self.replicas[0] as one, self.replicas[1] as two, consuming:
            self.start(one), self.start(two)
            with producing:
                for _ in range(ROUNDS):
                    self.kill_one()
            until("the queue is empty", lambda: self.stage.left() == 0, self.stage.logs)
            one.stop(), two.stop()
            self.stage.consumer.until_complete(self.stage.producer.sent.values(), 60)
        while self.stage.consumer.receive():
            pass
        self.window.append(int((time.time() + 1) * MICROS))
        for life in self.lives:
            life.proxy.close()
        self.compare()

    def start(self, replica):
        life = Life(replica.name, time.time())
        life.proxy = Proxy(self.stage.endpoint, life.watch)
        self.lives.append(life)
        config = self.stage.configure(
            replica.name, {"url": f"file://{self.folder}"}, {"endpoint_url": life.proxy.url}
        )
        replica.start(config)

    def kill_one(self):
        """Kills a replica at a random moment, and starts it again."""
        time.sleep(self.chance.uniform(LEAST, MOST))
        replica = self.chance.choice(self.replicas)
        (life,) = [life for life in self.lives if life.replica == replica.name][-1:]
        life.killed = replica.kill()
        self.start(replica)

    def rows(self):
        """Returns the rows of published messages, by SNS message id."""
        found = duckdb.sql(
            f"SELECT sns_message_id, event_id, message_id, replica, filename FROM "
            f"read_parquet('{self.folder}/journal/v1/*/*/*.parquet', filename = true, union_by_name = true) "
            f"WHERE outcome = 'published'"
        ).fetchall()
        rows = {}
        for row in found:
            rows.setdefault(row[0], []).append(row)
        return rows

    def process_of(self, life):
        """Returns the process in the journal that a life left, or None: it was killed before it stored anything."""
        end = life.killed or time.time()
        own = [each for each in self.processes if each.replica == life.replica]
        own = [each for each in own if life.began * 1_000 - 1 <= each.began <= end * 1_000]
        check_one(own, life)
        return own[0] if own else None

    def compare(self):
        deliveries, rows = self.stage.consumer.deliveries, self.rows()
        keys = [str(path.relative_to(self.folder)) for path in self.folder.glob("journal/**/*.parquet")]
        self.processes = processes(keys)
        events = len(set(self.stage.producer.sent.values()))
        say(f"  {events} events, {len(deliveries)} deliveries, {len(rows)} rows, {len(self.lives)} processes")
        check(not [each for each in self.processes if each.gaps()], "the segments of each process follow each other")
        wrong = [key for key, own in rows.items() if len(own) != 1]
        check(rows and not wrong, "no delivery has two rows", wrong[:5])
        unknown = [key for key in rows if key not in deliveries]
        check(not unknown, "every row has the SNS message id of a delivery", unknown[:5])
        mistaken = [key for key, own in rows.items() if own[0][1] != deliveries[key][0]]
        check(not mistaken, "every row has the event id of its delivery", mistaken[:5])
        self.check_missing([key for key in deliveries if key not in rows])

    def check_missing(self, missing):
        """Checks that each delivery without a row lies in the hole of the process that published it."""
        message_of = {}
        for message_id, event_id in self.stage.producer.sent.items():
            message_of[event_id] = message_id
        publisher = {sns_id: life for life in self.lives for sns_id in life.published}
        inside, outside = [], []
        for sns_id in missing:
            event_id = self.stage.consumer.deliveries[sns_id][0]
            life = publisher.get(sns_id)
            if life is None or life.killed is None:
                outside.append((sns_id, event_id, "its process was not killed"))
                continue
            process = self.process_of(life)
            # The row is recorded before the delete is sent, and the process recorded nothing after its end.
            latest = min(life.deleted.get(message_of[event_id], life.killed), life.killed)
            if process is None:
                outside.append((sns_id, event_id, f"{life.replica} has no segment of {life.began:.3f}"))
            elif process.hole is None or process.hole > latest * MICROS:
                outside.append((sns_id, event_id, f"{process.hole} is after {latest:.6f}"))
            else:
                inside.append((sns_id, event_id, process))
        killed = [life for life in self.lives if life.killed]
        silent = [life for life in killed if self.process_of(life) is None]
        say(f"  {len(killed)} killed, of which {len(silent)} had stored no segment")
        what = f"{len(inside)} deliveries have no row, all inside declared holes, and {len(outside)} outside of them"
        check(not outside, what, *outside[:9])
        self.inside = inside

    def check_later(self):
        """Checks what the commands say, once the killed processes are known to be dead."""
        window = [f"--from={stamp(self.window[0])}", f"--to={stamp(self.window[1])}"]
        killed = {(each.replica, each.incarnation): stamp(each.hole) for each in self.processes if each.hole}

        def holes():
            return self.command.duplicates(*window)["holes"]

        until("no segment is due", lambda: all(hole["kind"] != "not_stored_yet" for hole in holes()))
        found = {(hole["replica"], hole["incarnation"]): hole for hole in holes()}
        kinds = {hole["kind"] for hole in found.values()}
        is_right = kinds == {"died"} and {name: hole["from"] for name, hole in found.items()} == killed
        check(is_right, "`duplicates` names the hole of each killed process", found, killed)
        for sns_id, event_id, process in self.inside[:3]:
            answer = self.command.trace("--sns-message-id", sns_id, *window)
            of_process = [hole for hole in answer["holes"] if hole["incarnation"] == process.incarnation]
            is_right = not answer["found"] and not answer["known"] and answer["verdict"].startswith("Not known")
            check(is_right and of_process, f"`trace` of a delivery without a row: {answer['verdict']}", answer)
        complete = next(iter(self.rows().values()))[0]
        answer = self.command.trace("--sns-message-id", complete[0], *window)
        check(answer["found"], "`trace` finds a delivery that has a row", answer)


def check_one(own, life):
    if len(own) > 1:
        raise SystemExit(f"journal: FAILED: {life.replica} has two processes since {life.began}: {own}")


def stamp(micros):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(micros // MICROS)) + f".{micros % MICROS:06}Z"
