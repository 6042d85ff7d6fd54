"""Stores the archive in two S3 servers, ministack and moto, replays it from there, and breaks S3."""

import json
import logging
import subprocess
import time
from contextlib import closing

import botocore.exceptions
from moto.server import ThreadedMotoServer

from buckets import BUCKET, PREFIX, Bucket
from kills import MICROS, stamp
from scene import Scene, require
from stage import Command, Replica, say
from world import until

# The messages of each of two queues, and of those that fill the memory of the archive.
COUNT, LARGE = 60, 20
LARGE_BODY = "x" * 20_000
# A delivery is late if it takes longer than this, in seconds.
LATE_SECONDS = 10


def run(protobridge, endpoint, work):
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        for name, url in {"ministack": endpoint, "moto": f"http://{host}:{port}"}.items():
            with closing(Bucket(url)) as bucket:
                Store(name, bucket, endpoint, work, protobridge).run()
    finally:
        server.stop()
    with closing(Bucket(endpoint)) as bucket:
        Faults("faults", bucket, endpoint, work, protobridge).run()


class Store:
    """An archive in a bucket."""

    archive = {"enabled": True}

    def __init__(self, name, bucket, endpoint, work, protobridge):
        self.name, self.bucket, self.scene = name, bucket, Scene(f"bucket-{name}", endpoint, work)
        store, endpoints = {"url": f"s3://{BUCKET}/{PREFIX}"}, {"s3_endpoint_url": bucket.proxy.url}
        self.config = self.scene.configure("pod-a", store, endpoints, archive=self.archive)
        self.command, self.replica = Command(protobridge, self.config), Replica(self.scene, "pod-a", protobridge)

    def run(self):
        begin = now()
        with self.replica.start(self.config):
            self.scene.until_arrived(self.scene.send(COUNT))
            self.until_empty()
            self.replica.stop()
        window = [f"--from={begin}", f"--to={now()}"]
        verified = json.loads(self.command.run("archive", "verify", *window, "--json"))
        sent = len(self.scene.sent())
        require(verified["messages"] >= sent and not verified["damaged"], "all messages are stored", verified)
        self.bucket.calls.clear()
        replay = ["replay", *window, "--yes", "--name", "again", "--rate", 400, "--step", 20, "--json"]
        counts = json.loads(self.command.run(*replay))["counts"]
        require(counts["published"] == sent, "the replay sends each message", counts)
        self.scene.until_arrived(self.scene.event_ids().values(), "again")
        puts = [call for call in self.bucket.calls if call.method == "PUT"]
        is_right = all(call.headers.get("if-none-match") == "*" and call.status == 200 for call in puts)
        require(puts and is_right, "the cursor is written by create-only PUTs", [call.headers for call in puts])
        self.command.run(*replay, codes=(1,))
        honors = "honors" if self.is_refused() else "IGNORES"
        say(
            f"buckets: {self.name}: {verified['segments']} segments have {verified['messages']} of {sent} messages and "
            f"no gap; the replay of {counts['published']} made {len(puts)} create-only PUTs; {self.name} {honors} "
            "If-None-Match"
        )

    def is_refused(self):
        """Whether the server refuses a create-only PUT of an object that exists."""
        key = next(key for key in self.bucket.keys() if key.startswith("replays/"))
        try:
            self.bucket.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{key}", Body=b"other", IfNoneMatch="*")
        except botocore.exceptions.ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            require(status == 412, "a create-only PUT of an object that exists answers 412", error)
            return True
        return False

    def until_empty(self):
        until("the queues are empty", lambda: self.scene.left() == 0, self.scene.logs)


class Faults(Store):
    """An archive whose store breaks. It gives up soon, and its memory is as small as it can be."""

    archive = {
        "enabled": True, "flush_ms": 200, "give_up_hold_after_seconds": 1,
        "segment_bytes": 65_536, "max_buffered_bytes": 1_048_576,
    }

    def run(self):
        with self.replica.start(self.config):
            self.replica.until_ready()
            figures = [self.break_store(fault) for fault in ["refuse", "hang", "slow"]]
            self.replica.stop()
        say(f"buckets: {'; '.join(figures)}")

    def break_store(self, fault):
        begin, before, lost_before = now(), len(self.scene.sent()), self.lost()
        self.bucket.proxy.break_with(fault)
        started = time.monotonic()
        longest = self.deliver(COUNT, None)
        if fault == "slow":
            until("a slow PUT is made", lambda: self.bucket.proxy.failed, self.scene.logs)
        else:
            while self.lost() == lost_before:
                require(time.monotonic() - started < 60, "the memory of the archive is full in time", fault)
                longest = max(longest, self.deliver(LARGE, LARGE_BODY))
        self.until_empty()
        broken = time.monotonic() - started
        require(longest < LATE_SECONDS, f"deliveries go on while S3 is broken: {fault}", longest)
        self.bucket.proxy.heal()
        sent, lost = len(self.scene.sent()) - before, self.lost() - lost_before
        window = self.until_stored(begin, sent, lost)
        verified = json.loads(self.command.run("archive", "verify", *window, "--json", codes=(1 if lost else 0,)))
        kinds = {gap["kind"] for gap in verified["gaps"]}
        declared = sum(gap.get("count", 0) for gap in verified["gaps"])
        require(declared == lost and kinds <= {"lost"}, "the gaps are declared", lost, verified)
        printed = self.replay(fault, window, sent - lost, has_gaps=lost > 0)
        return (
            f"{fault}: {sent} messages sent and deleted in {broken:.0f} s, the slowest batch arrived in {longest:.1f} "
            f"s, {lost} declared as lost in {len(verified['gaps'])} gaps, of which `replay` printed {printed}"
        )

    def lost(self):
        return int(self.replica.metric("protobridge_archive_gap_messages_total"))

    def deliver(self, count, body):
        """Sends messages, waits until they arrive, and returns the time that this took in seconds."""
        began = time.monotonic()
        self.scene.until_arrived(self.scene.send(count, body))
        return time.monotonic() - began

    def until_stored(self, begin, sent, lost):
        """Waits until all that can be stored is stored, and returns the window until the last segment."""

        def stored():
            listed = json.loads(self.command.run("archive", "ls", f"--from={begin}", f"--to={now()}", "--json"))
            segments = listed["segments"]
            rows = sum(each["messages"] for each in segments)
            declared = sum(each["lost"] for each in segments)
            return segments if rows >= sent - lost and declared == lost else None

        segments = until("the archive is stored", stored, self.scene.logs)
        return [f"--from={begin}", f"--to={max(each['to'] for each in segments)}"]

    def replay(self, fault, window, count, has_gaps):
        """Replays the window. Returns the number of gaps that the replay printed."""
        words = [self.command.protobridge, "replay", *window, "--yes", "--name", fault, "--rate", 1_000, "--json"]
        done = subprocess.run(
            [*map(str, words), "--config", self.config], capture_output=True, text=True, timeout=120
        )
        require(done.returncode == has_gaps, "the exit code of the replay tells of gaps", done.returncode, done.stderr)
        published = json.loads(done.stdout)["counts"]["published"]
        require(published == count, "the replay sends what is stored", published, count)
        return sum(line.startswith("gap in the archive: ") for line in done.stderr.splitlines())


def now():
    return stamp(int(time.time() * MICROS))
