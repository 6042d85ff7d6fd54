"""The stage of the checks: queues and a topic in ministack, a producer, a consumer, and replicas of the service."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import boto3
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))

import shop_events  # noqa: E402
from world import AWS, REGION, free_port, get, until  # noqa: E402

CUSTOMER = "acme"
DESCRIPTORS = ROOT / "descriptors"
# The name of the test that runs: its folder.
TEST = Path(sys.argv[0]).resolve().parent.name
# SQS and SNS take this many entries in one call.
BATCH = 10


def say(text):
    print(f"{TEST}: {text}", flush=True)


def fail(text):
    sys.exit(f"{TEST}: FAILED: {text}")


def check(condition, what, *details):
    """Prints what was checked. If the condition is false, exits with an error."""
    if not condition:
        fail("\n".join([what, *map(str, details)]))
    say(what)


def client(service, endpoint):
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION)


class Stage:
    """A source queue with its events, and a topic whose subscriber gets the messages as SNS wraps them."""

    def __init__(self, name, endpoint, work):
        self.name, self.endpoint, self.work = name, endpoint, work / name
        self.work.mkdir()
        self.sqs, sns = client("sqs", endpoint), client("sns", endpoint)
        self.source = self.sqs.create_queue(QueueName=f"{name}-events")["QueueUrl"]
        self.inbox = self.sqs.create_queue(QueueName=f"{name}-inbox")["QueueUrl"]
        self.topic = sns.create_topic(Name=f"{name}-{CUSTOMER}")["TopicArn"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.inbox, AttributeNames=["QueueArn"])["Attributes"]
        # Without raw delivery, the message names its id at SNS.
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=attributes["QueueArn"])
        self.producer, self.consumer = Producer(self), Consumer(self)

    def configure(self, name, store, endpoints=None, **settings):
        """Writes a configuration and returns its path."""
        admin = f"127.0.0.1:{free_port()}"
        config = {
            "aws": {"region": REGION, "endpoint_url": self.endpoint} | (endpoints or {}),
            "queues": [{"name": "events", "url": self.source}],
            "receive": {"wait_seconds": 1, "depth_seconds": 0},
            "visibility": {"timeout_seconds": 5},
            "descriptors": {"path": str(DESCRIPTORS)},
            "taps": {"customer": ["meta.tenant_id", "tenant_id"], "event_id": ["meta.event_id", "event_id"]},
            "route": {"customers_file": "customers.yaml"},
            "store": store,
            "admin": {"listen": admin},
        }
        for key, value in ({"journal": {"segment_seconds": 1}} | settings).items():
            config[key] = config.get(key, {}) | value
        customers = {"customers": [{"id": CUSTOMER, "topic": self.topic}]}
        (self.work / "customers.yaml").write_text(yaml.safe_dump(customers))
        path = self.work / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    def left(self):
        """Returns the number of messages on the source queue, including those in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.source, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def logs(self):
        """Returns the last lines of each log."""
        files = {file.name: file.read_text(errors="replace").splitlines() for file in sorted(self.work.glob("*.log"))}
        return "\n".join(line for name, lines in files.items() for line in [f"--- {name}", *lines[-15:]])


class Producer:
    """Sends events. `sent` has their event ids by SQS message id, `sent_at` the times by event id."""

    def __init__(self, stage, customer=CUSTOMER):
        self.stage = stage
        seed = f"{stage.name}-{customer}-{time.time_ns()}"
        self.events = shop_events.events(DESCRIPTORS / "shop.binpb", seed, 1_000_000, [customer])
        self.sent, self.sent_at = {}, {}

    def send(self, count):
        """Sends this number of new events and returns their ids."""
        events = [next(self.events) for _ in range(count)]
        for first in range(0, count, BATCH):
            self.send_again(events[first : first + BATCH])
        return [event.id for event in events]

    def send_again(self, events):
        """Sends up to ten events."""

        def entry(number, event):
            attributes = {
                "message-type": {"DataType": "String", "StringValue": event.type},
                "payload": {"DataType": "Binary", "BinaryValue": event.payload or b"\0"},
            }
            return {"Id": str(number), "MessageBody": "-", "MessageAttributes": attributes}

        entries = [entry(number, event) for number, event in enumerate(events)]
        for event in events:
            self.sent_at[event.id] = time.time()
        answer = self.stage.sqs.send_message_batch(QueueUrl=self.stage.source, Entries=entries)
        check_entries(answer)
        for each in answer["Successful"]:
            self.sent[each["MessageId"]] = events[int(each["Id"])].id


def check_entries(answer):
    if answer.get("Failed"):
        fail(answer["Failed"])


class Repeated(threading.Thread):
    """Calls `act` until the end of the `with` block."""

    def __init__(self, act, pause_seconds=0.0):
        super().__init__(daemon=True)
        self.act, self.pause_seconds, self.has_ended = act, pause_seconds, threading.Event()

    def run(self):
        while not self.has_ended.wait(self.pause_seconds):
            self.act()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.has_ended.set()
        self.join()


class Consumer:
    """Receives the deliveries. `deliveries` has, by SNS message id, the event id and when the message arrived."""

    def __init__(self, stage):
        self.sqs, self.inbox, self.stage = client("sqs", stage.endpoint), stage.inbox, stage
        self.deliveries, self.repeated = {}, []

    def receive(self, wait_seconds=1):
        """Receives up to ten deliveries and returns their number."""
        answer = self.sqs.receive_message(QueueUrl=self.inbox, MaxNumberOfMessages=BATCH, WaitTimeSeconds=wait_seconds)
        messages = answer.get("Messages", [])
        for message in messages:
            notification = json.loads(message["Body"])
            sns_id = notification["MessageId"]
            if sns_id in self.deliveries:
                self.repeated.append(sns_id)
            self.deliveries[sns_id] = (notification["MessageAttributes"]["event-id"]["Value"], time.time())
        if messages:
            entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
            check_entries(self.sqs.delete_message_batch(QueueUrl=self.inbox, Entries=entries))
        return len(messages)

    def events(self):
        return {event_id for event_id, _ in self.deliveries.values()}

    def until_complete(self, ids, seconds):
        """Receives until each of these events has arrived."""
        missing = set(ids)

        def arrived():
            missing.difference_update(self.events())
            return not missing or self.receive() < 0

        until(f"{len(missing)} events arrive", arrived, self.stage.logs, seconds)


class Replica:
    """A replica of the service: one process after the other, all with the same name."""

    def __init__(self, stage, name, protobridge):
        self.stage, self.name, self.protobridge = stage, name, protobridge
        self.log = stage.work / f"{name}.log"
        self.process = self.admin = None

    def start(self, config):
        self.admin = yaml.safe_load(config.read_text())["admin"]["listen"]
        environment = os.environ | AWS | {"HOSTNAME": self.name}
        with self.log.open("a") as log:
            command = [self.protobridge, "run", "--config", config]
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def until_ready(self):
        def answers():
            if self.process.poll() is not None:
                fail(f"{self.name} exited\n{self.stage.logs()}")
            return get(f"http://{self.admin}/readyz")[0] == 200

        until(f"{self.name} is ready", answers, self.stage.logs)

    def kill(self):
        """Ends the process without a chance to finish anything. Returns when it is dead, in seconds since the epoch."""
        if self.process.poll() is not None:
            fail(f"{self.name} exited\n{self.stage.logs()}")
        self.process.kill()
        self.process.wait()
        return time.time()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        check_exit(self.process.wait(60), self)

    def metric(self, name, **labels):
        """Returns the value of a metric, or the sum over all series that have the labels."""
        status, text = get(f"http://{self.admin}/metrics")
        if status != 200:
            fail(f"/metrics answers {status}\n{self.stage.logs()}")
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        if not lines:
            fail(f"/metrics has no {name}")
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if all(label in line for label in wanted))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.kill()


def check_exit(code, replica):
    if code != 0:
        fail(f"{replica.name} exited with {code}\n{replica.stage.logs()}")


class Command:
    """The commands that read the journal."""

    def __init__(self, protobridge, config):
        self.protobridge, self.config = protobridge, config

    def run(self, *arguments, codes=(0,)):
        command = [self.protobridge, *arguments, "--config", self.config]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=os.environ | AWS, timeout=120)
        if done.returncode not in codes:
            fail(f"{arguments} exited with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def trace(self, *arguments):
        """Returns the answer of `trace` as JSON. It exits with 1 if it finds nothing."""
        return json.loads(self.run("trace", *arguments, "--json", codes=(0, 1)))

    def duplicates(self, *arguments):
        return json.loads(self.run("duplicates", *arguments, "--json"))
