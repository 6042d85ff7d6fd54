"""Breaks the S3 in front of the journal: no delivery is lost or late, and rows that are missing are never denied."""

from contextlib import closing

import duckdb

from buckets import BUCKET, PREFIX, Bucket
from segments import processes
from stage import Command, Replica, Stage, check, say
from world import until

# The events of each fault.
EVENTS = 60
# A delivery is late if it takes longer than this, and longer than three times the slowest one with a working store.
LATE_SECONDS = 2.0
# The failed PUTs of each fault: object_store repeats a call twice before the journal learns that it failed.
FAILED = {"refuse": 2, "unavailable": 4, "slow": 2, "break_request": 4, "break_answer": 4, "hang": 1}
WHAT = {
    "refuse": "S3 refuses PUTs with 403",
    "unavailable": "S3 refuses PUTs with 503",
    "slow": "S3 takes seconds for a PUT",
    "break_request": "the connection breaks in the middle of a PUT",
    "break_answer": "the connection breaks before the answer to a PUT",
    "hang": "S3 never answers a PUT",
}
# The smallest size: three segments of it are in memory at most.
SEGMENT_BYTES = 65_536


def run(protobridge, endpoint, work):
    say("breaking the S3 in front of the journal")
    stage = Stage("faults", endpoint, work)
    with closing(Bucket(endpoint)) as bucket, Replica(stage, "pod-a", protobridge) as replica:
        journal = {"segment_seconds": 1, "segment_bytes": SEGMENT_BYTES}
        config = stage.configure(
            "pod-a", {"url": f"s3://{BUCKET}/{PREFIX}"}, {"s3_endpoint_url": bucket.proxy.url}, journal=journal
        )
        replica.start(config)
        replica.until_ready()
        Faults(stage, bucket, replica, config, Command(protobridge, config)).run()


class Faults:
    def __init__(self, stage, bucket, replica, config, command):
        self.stage, self.bucket, self.replica, self.config, self.command = stage, bucket, replica, config, command
        self.bound = LATE_SECONDS

    def run(self):
        usual = self.deliver(EVENTS)[1]
        self.bound = max(LATE_SECONDS, 3 * usual)
        until("the rows are in the bucket", self.is_stored, self.stage.logs)
        say(f"  with a working store the slowest delivery takes {usual:.2f} s")
        for fault in ["refuse", "unavailable", "slow", "break_request", "break_answer"]:
            self.check_fault(fault)
        self.check_errors()
        dropped = self.check_full()
        lost = self.check_killed()
        self.check_objects(dropped, lost)

    def deliver(self, count):
        """Sends events, waits until they arrive, and returns their ids and the longest time that one took."""
        ids = self.stage.producer.send(count)
        self.stage.consumer.until_complete(ids, 60)
        arrived = {event_id: at for event_id, at in self.stage.consumer.deliveries.values()}
        return ids, max(arrived[each] - self.stage.producer.sent_at[each] for each in ids)

    def is_stored(self, dropped=0):
        return self.bucket.rows() + dropped >= len(self.stage.producer.sent)

    def check_fault(self, fault):
        self.bucket.proxy.break_with(fault)
        longest = self.deliver(EVENTS)[1]
        until(f"PUTs fail: {fault}", lambda: self.bucket.proxy.failed >= FAILED[fault], self.stage.logs)
        longest = max(longest, self.deliver(EVENTS)[1])
        check(longest <= self.bound, f"  {WHAT[fault]}: the slowest of {2 * EVENTS} deliveries takes {longest:.2f} s")
        self.bucket.proxy.heal()
        until("the rows are in the bucket", self.is_stored, self.stage.logs)

    def check_errors(self):
        def errors(code):
            return int(self.replica.metric("protobridge_store_errors_total", operation="put", code=code))

        denied, others = errors("denied"), errors("other")
        dropped = self.replica.metric("protobridge_journal_rows_dropped_total")
        what = f"  {denied} denied PUTs and {others} other errors are counted, and no row is dropped"
        check(denied and others and not dropped, what, dropped)

    def check_full(self):
        """Lets PUTs hang until memory is full. Returns the number of dropped rows."""
        self.bucket.proxy.break_with("hang")
        sent, longest = [], 0

        def dropped():
            return int(self.replica.metric("protobridge_journal_rows_dropped_total", reason="full"))

        while not dropped():
            ids, slowest = self.deliver(2 * EVENTS)
            sent, longest = sent + ids, max(longest, slowest)
        last = self.deliver(EVENTS)
        longest = max(longest, last[1])
        count = len(sent) + EVENTS
        what = f"  {WHAT['hang']}, and memory is full: the slowest of {count} deliveries takes {longest:.2f} s"
        check(longest <= self.bound, what)
        pending = self.command.trace(last[0][-1])
        is_right = not pending["known"] and {hole["kind"] for hole in pending["holes"]} == {"not_stored_yet"}
        check(is_right, f"  meanwhile, `trace`: {pending['verdict']}", pending)
        rows = dropped()
        self.bucket.proxy.heal()
        until("the other rows are in the bucket", lambda: self.is_stored(dropped()), self.stage.logs)
        check(dropped() == rows, f"  {rows} rows are dropped and counted, and none after the store is back")
        declared = sum(segment.dropped for segment in self.bucket.segments())
        check(declared == rows, "  the segments declare as many dropped rows", declared)
        answer = self.command.trace(last[0][-1])
        is_right = not answer["found"] and not answer["known"] and answer["looked"]["dropped"]
        check(is_right, f"  `trace` of an event whose row was dropped: {answer['verdict']}", answer)
        answer = self.command.trace(sent[0])
        check(answer["found"], "  `trace` finds an event that was stored late", answer)
        return rows

    def check_killed(self):
        """Kills the process while its rows wait for the store. Returns the number of rows that are lost."""
        until("a segment ends after the others", lambda: self.bucket.segments()[-1].rows == 0, self.stage.logs)
        self.bucket.proxy.break_with("refuse")
        stored = self.bucket.rows()
        ids, longest = self.deliver(EVENTS)
        # Otherwise SQS delivers a message again.
        until("the queue is empty", lambda: self.stage.left() == 0, self.stage.logs)
        self.replica.kill()
        self.bucket.proxy.heal()
        is_right = longest <= self.bound and self.bucket.rows() == stored
        check(is_right, f"  the process is killed while {EVENTS} rows wait for the store")
        self.replica.start(self.config)
        self.replica.until_ready()
        self.deliver(EVENTS)
        until("later rows are in the bucket", lambda: self.bucket.rows() >= stored + EVENTS, self.stage.logs)
        for each in [ids[0], ids[-1]]:
            answer = self.command.trace(each)
            is_right = not answer["found"] and not answer["known"] and len(answer["holes"]) == 2
            check(is_right, f"  `trace` of an event whose row was lost: {answer['verdict']}", answer)
        return EVENTS

    def check_objects(self, dropped, lost):
        self.replica.stop()
        keys = [segment.key for segment in self.bucket.segments()]
        check(not any(each.gaps() for each in processes(keys)), "  the segments of each process follow each other")
        folder = self.stage.work / "copy"
        for number, key in enumerate(keys):
            path = folder / f"{number}.parquet"
            path.parent.mkdir(exist_ok=True)
            self.bucket.s3.download_file(BUCKET, f"{PREFIX}/{key}", str(path))
        files = f"read_parquet('{folder}/*.parquet')"
        rows, ids = duckdb.sql(f"SELECT count(*), count(DISTINCT sns_message_id) FROM {files}").fetchall()[0]
        deliveries = self.stage.consumer.deliveries
        wanted = len(deliveries) - dropped - lost
        is_right = rows == ids == wanted and len(deliveries) == len(self.stage.producer.sent)
        details = (rows, ids, wanted, len(deliveries), len(self.stage.producer.sent))
        check(is_right, f"  {len(keys)} segments are whole, and have each of {wanted} other deliveries once", details)
        check(not self.stage.consumer.repeated, "  no delivery came twice", self.stage.consumer.repeated)
