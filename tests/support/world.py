"""Support for tests that run the service as a whole: ministack with queues, topics and customers, and ways to wait."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parents[1]
CUSTOMERS = ["acme", "globex", "initech"]
REGION = "eu-west-1"
# Credentials that an emulator accepts, and settings that keep other credentials out of reach.
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
NO_FILES = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
# The deadline of every wait, far longer than a wait normally takes.
SECONDS = 120


def isolate():
    """Hides the user's AWS settings from this process and its children."""
    os.environ.update(AWS | NO_FILES)
    os.environ.pop("AWS_PROFILE", None)


def until(what, condition, logs=lambda: "", seconds=SECONDS):
    """Calls the condition until it is true and returns its value. After the deadline, exits and prints the logs."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            sys.exit(f"FAILED: timed out after {seconds} s, waiting until {what}\n{logs()}")
        time.sleep(0.05)
    return answer


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url):
    """Returns the status and the body; None and an empty body if nothing answers."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()
    except OSError:
        return None, ""


class Stage:
    """The resources in ministack: a source queue, its quarantine queue, and for each customer a topic with a queue.

    Their names begin with the prefix.
    """

    def __init__(self, endpoint_url, logs, prefix=""):
        self.logs = logs
        self.endpoint_url = endpoint_url
        sqs = boto3.client("sqs", endpoint_url=endpoint_url, region_name=REGION)
        sns = boto3.client("sns", endpoint_url=endpoint_url, region_name=REGION)
        self.sqs = sqs
        self.source = sqs.create_queue(QueueName=f"{prefix}events")["QueueUrl"]
        self.quarantine = sqs.create_queue(QueueName=f"{prefix}events-quarantine")["QueueUrl"]
        self.topics, self.queues = {}, {}
        for customer in CUSTOMERS:
            self.queues[customer] = sqs.create_queue(QueueName=f"{prefix}{customer}")["QueueUrl"]
            self.topics[customer] = sns.create_topic(Name=f"{prefix}{customer}")["TopicArn"]
            attributes = sqs.get_queue_attributes(QueueUrl=self.queues[customer], AttributeNames=["QueueArn"])
            sns.subscribe(
                TopicArn=self.topics[customer],
                Protocol="sqs",
                Endpoint=attributes["Attributes"]["QueueArn"],
                Attributes={"RawMessageDelivery": "true"},
            )

    def produce(self, seed, count):
        customers = [part for customer in CUSTOMERS for part in ("--customer", customer)]
        self.script("produce.py", seed, count, "--queue-url", self.source, *customers)

    def consume(self, seed, count):
        queues = [part for customer, url in self.queues.items() for part in ("--queue", f"{customer}={url}")]
        return json.loads(self.script("consume.py", seed, count, "--deadline-seconds", SECONDS, *queues))

    def script(self, script, seed, count, *arguments):
        """Runs a script of tests/support and returns its output."""
        command = [sys.executable, SUPPORT / script, "--endpoint-url", self.endpoint_url, "--region", REGION]
        command += ["--descriptor-set", ROOT / "descriptors/shop.binpb", "--seed", seed, "--count", count, *arguments]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else sys.exit(f"FAILED: {script}\n{done.stderr}{self.logs()}")

    def messages_left(self):
        """Returns the number of messages on the source queue, including those in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.source, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)


@contextlib.contextmanager
def ministack(work, services="sqs,sns"):
    """Runs these services of ministack and yields its base URL.

    ministack ends when its standard input closes, so it ends with this process, however that ends.
    """
    for attempt in range(5):
        port, mark = free_port(), f"world-{os.getpid()}-{attempt}"
        settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0", "SERVICES": services}
        settings |= {"LOG_LEVEL": "WARNING", "MINISTACK_VERSION": mark, "TMPDIR": str(work)}
        unwanted = {"MINISTACK_HOST", "MINISTACK_REGION", "MINISTACK_ACCOUNT_ID", "PERSIST_STATE", "AUTH", "USE_SSL"}
        environment = {key: value for key, value in os.environ.items() if key not in unwanted} | settings
        with open(work / "ministack.log", "w") as log:
            command = [sys.executable, SUPPORT / "run_ministack.py"]
            child = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"
        # Another process can take the free port before ministack does. Then the next attempt uses another port.
        until("ministack answers", lambda: child.poll() is not None or mark in get(f"{url}/_ministack/health")[1])
        if child.poll() is None:
            try:
                yield url
            finally:
                child.stdin.close()
                child.wait()
            return
    sys.exit(f"FAILED: ministack does not start: see {work}/ministack.log")
