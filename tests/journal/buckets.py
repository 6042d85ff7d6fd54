"""Stores the journal in two S3 servers, ministack and moto, and finds every event again by each of its ids."""

import json
import logging
from contextlib import closing

from moto.server import ThreadedMotoServer

from proxy import Proxy
from segments import COUNTERS, Segment
from stage import Command, Replica, Stage, check, client, say
from world import REGION, until

BUCKET, PREFIX = "acme-journal", "prod/eu"
KMS_KEY = f"arn:aws:kms:{REGION}:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
EVENTS, AGAIN = 60, 10


def run(protobridge, endpoint, work):
    check_server("ministack", endpoint, endpoint, protobridge, work)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    try:
        check_server("moto", f"http://{host}:{port}", endpoint, protobridge, work)
    finally:
        server.stop()


class Bucket:
    """A bucket of a server, behind a proxy that records the calls of the service."""

    def __init__(self, endpoint):
        self.s3, self.calls = client("s3", endpoint), []
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.proxy = Proxy(endpoint, self.calls.append)

    def close(self):
        self.proxy.close()
        for key in self.keys():
            self.s3.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/{key}")
        self.s3.delete_bucket(Bucket=BUCKET)

    def keys(self):
        """Returns the keys of all objects, below the URL of the store."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        outside = [key for key in keys if not key.startswith(f"{PREFIX}/")]
        if outside:
            raise SystemExit(f"journal: FAILED: {outside} are outside of the store")
        return [key.removeprefix(f"{PREFIX}/") for key in keys]

    def segments(self):
        return [Segment.of_key(key) for key in self.keys() if key.startswith("journal/")]

    def rows(self):
        return sum(segment.rows for segment in self.segments())


def check_server(name, server, endpoint, protobridge, work):
    say(f"storing the journal in the S3 of {name}")
    stage = Stage(f"bucket-{name}", endpoint, work)
    with closing(Bucket(server)) as bucket, Replica(stage, "pod-a", protobridge) as replica:
        store = {"url": f"s3://{BUCKET}/{PREFIX}", "kms_key_id": KMS_KEY}
        config = stage.configure("pod-a", store, {"s3_endpoint_url": bucket.proxy.url})
        replica.start(config)
        events = [next(stage.producer.events) for _ in range(EVENTS)]
        for first in range(0, EVENTS, 10):
            stage.producer.send_again(events[first : first + 10])
        stage.consumer.until_complete([event.id for event in events], 60)
        # The same events in other messages are duplicates.
        stage.producer.send_again(events[:AGAIN])
        until("the rows are in the bucket", lambda: bucket.rows() >= EVENTS + AGAIN, stage.logs)
        replica.stop()
        check_objects(bucket)
        check_calls(bucket)
        check_traces(bucket, stage, Command(protobridge, config))


def check_objects(bucket):
    segments = bucket.segments()
    check(bucket.rows() == EVENTS + AGAIN, f"  {len(segments)} segments have {EVENTS + AGAIN} rows", segments)
    ends = [segment.is_last for segment in segments]
    check(ends == sorted(ends) and ends.count(True) == 1, "  the last segment says that the process stopped in order")
    counters = [key for key in bucket.keys() if not key.startswith("journal/")]
    is_right = counters and all(COUNTERS.fullmatch(key) for key in counters)
    check(is_right, "  the counters are stored, and all keys are in Hive layout", counters)
    published = 0
    for key in counters:
        minute = json.loads(bucket.s3.get_object(Bucket=BUCKET, Key=f"{PREFIX}/{key}")["Body"].read())
        published += sum(each["entries"] for each in minute["published"])
    check(published == EVENTS, f"  the counters have {EVENTS} published entries", published)
    for key in [segments[0].key, counters[0]]:
        head = bucket.s3.head_object(Bucket=BUCKET, Key=f"{PREFIX}/{key}")
        is_right = (head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")) == ("aws:kms", KMS_KEY)
        check(is_right, f"  S3 encrypted an object of {key.split('/')[0]} with the key", head)


def check_calls(bucket):
    """Checks the calls that the service made, as the proxy saw them."""
    methods = {call.method for call in bucket.calls}
    check(methods == {"PUT"}, "  the service only puts objects", methods)
    wanted = {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": KMS_KEY}
    without = [call.path for call in bucket.calls if not wanted.items() <= call.headers.items()]
    check(not without, "  every PUT names the key of KMS", without)
    failed = [(call.path, call.status) for call in bucket.calls if call.status != 200]
    check(not failed, f"  S3 took each of {len(bucket.calls)} PUTs at once", failed)


def check_traces(bucket, stage, command):
    """Looks up some events by each of their ids."""
    ids = {event_id: (message_id, []) for message_id, event_id in stage.producer.sent.items()}
    for sns_id, (event_id, _) in stage.consumer.deliveries.items():
        ids[event_id][1].append(sns_id)
    bucket.calls.clear()
    for event_id, (message_id, sns_ids) in list(ids.items())[:: EVENTS // 3]:
        for flag, value in [(None, event_id), ("--message-id", message_id), ("--sns-message-id", sns_ids[0])]:
            answer = command.trace(*filter(None, [flag, value]))
            got = {row["sns_message_id"] for row in answer["rows"] if row["outcome"] == "published"}
            if not (answer["found"] and answer["known"] and got == set(sns_ids) and answer["event"] == event_id):
                raise SystemExit(f"journal: FAILED: trace {flag} {value}: {json.dumps(answer, indent=1)}")
    say("  `trace` finds events by event id, SQS message id and SNS message id")
    again = list(ids)[0]
    rows = command.trace(again)["rows"]
    outcomes = sorted(row["outcome"] for row in rows)
    check(outcomes == ["duplicate", "published"], "  an event that was sent twice has a row for each message", rows)
    absent = command.trace("00000000-0000-4000-8000-000000000000")
    is_right = not absent["found"] and absent["known"] and absent["verdict"].startswith("No record")
    check(is_right, f"  {absent['verdict']}", absent)
    methods = {call.method for call in bucket.calls}
    check(methods <= {"GET", "HEAD"}, "  `trace` only lists and reads", methods)
