"""Starts a Prometheus that scrapes two protobridges: a healthy one, and one whose publishes and Redis calls fail."""

import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

from bucket import Bucket

# A debug build on a busy machine takes some seconds to start.
PATIENCE = 120

MONITORED = """
silence: [{types: [shop.v1.OrderPlaced], within_seconds: 900}]
"""


def until(what, probe):
    """Calls the probe until it returns something truthy, and returns that. Ends the process after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"alerts: timed out after {PATIENCE} s waiting for {what}")


class Process:
    """A process that runs until the end of the `with` block and writes its output to a log file."""

    def __init__(self, work, name, command, **environment):
        self.log = work / f"{name}.log"
        with self.log.open("wb") as log:
            environment = {**os.environ, "TMPDIR": str(work / "tmp"), **environment}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def wait_for(self, pattern):
        """Waits until the output matches the pattern, and returns the first group of the match."""

        def probe():
            if self.process.poll() is not None:
                raise SystemExit(f"alerts: {self.process.args[0]} exited early:\n{self.log.read_text()}")
            found = re.search(pattern, self.log.read_text())
            return found and found.group(1)

        return until(f"a match of {pattern} in {self.log}", probe)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class ThrottlingProxy(http.server.ThreadingHTTPServer):
    """A proxy in front of SQS and SNS that throttles every other PublishBatch call."""

    def __init__(self, endpoint):
        super().__init__(("127.0.0.1", 0), Forward)
        self.upstream = urllib.parse.urlsplit(endpoint).netloc
        self.publishes = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        # A service that is killed does not close its connections, which is no error here.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Forward(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if b"Action=PublishBatch" in body:
            self.server.publishes += 1
            if self.server.publishes % 2:
                error = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttled</Code></Error></ErrorResponse>"
                return self.answer(429, "text/xml", error.encode())
        upstream = http.client.HTTPConnection(self.server.upstream)
        # The emulator takes the address in its answers from the Host header, so that must be its own address.
        headers = {**dict(self.headers), "Host": self.server.upstream}
        upstream.request("POST", self.path, body, headers)
        answer = upstream.getresponse()
        return self.answer(answer.status, answer.getheader("content-type", "text/xml"), answer.read())

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def demo(work, protobridge):
    """Starts the demo. Returns its process, its endpoint for SQS and SNS, its folder, and its admin address."""
    process = Process(work, "demo", [protobridge, "demo", "--rate", "50", "--quiet"])
    endpoint = process.wait_for(r"SQS and SNS +(\S+)")
    folder = process.wait_for(r"configuration +(\S+)")
    return process, endpoint, folder, process.wait_for(r"admin endpoint +http://(\S+)")


def failing(work, protobridge, endpoint, folder, canary):
    """Starts a service on the demo's queue that cannot reach Redis, and that has a rule of silence and an expected source
    of the demo, a journal and an archive in a folder, its sets and customers in a bucket, and a claim check for each event
    of one customer. Returns its process and its admin address."""
    config = pathlib.Path(folder, "failing.yaml")
    # The paths in the file begin at its folder.
    config.write_text(pathlib.Path(folder, "protobridge.yaml").read_text() + MONITORED)
    files = pathlib.Path(folder, "descriptors").iterdir()
    sets = {f"schemas/released/{file.name}": file.read_bytes() for file in files}
    customers = pathlib.Path(folder, "customers.yaml").read_text()
    customers = customers.replace("    topic: ", "    claim_check: always\n    topic: ", 1)
    bucket = Bucket(sets | {"config/customers.yaml": customers.encode()})
    process = Process(
        work,
        "failing",
        [protobridge, "run", "--config", config],
        AWS_ACCESS_KEY_ID="demo",
        AWS_SECRET_ACCESS_KEY="demo",
        PROTOBRIDGE_AWS_ENDPOINT_URL=endpoint,
        PROTOBRIDGE_DEDUPE_REDIS_URL="redis://127.0.0.1:1",
        PROTOBRIDGE_STORE_URL=f"file://{work}/tmp/store",
        PROTOBRIDGE_JOURNAL_SEGMENT_SECONDS="1",
        PROTOBRIDGE_ARCHIVE_ENABLED="true",
        PROTOBRIDGE_AWS_S3_ENDPOINT_URL=bucket.url,
        PROTOBRIDGE_CLAIM_CHECK_BUCKET="claims",
        PROTOBRIDGE_DESCRIPTORS_PATH="s3://schemas/released",
        PROTOBRIDGE_DESCRIPTORS_POLL_SECONDS="1",
        PROTOBRIDGE_ROUTE_CUSTOMERS_FILE="s3://config/customers.yaml",
        PROTOBRIDGE_LOG_FORMAT="json",
        PROTOBRIDGE_LOG_LEVEL="info",
        **canary,
    )
    return process, process.wait_for(r'"admin":"http://([^"]+)"')


def beside(work, protobridge, command, endpoint, folder, canary):
    """Starts a command with the demo's configuration and the canary. Returns its process and its admin address."""
    process = Process(
        work,
        f"beside-{command}",
        [protobridge, command, "--config", f"{folder}/protobridge.yaml"],
        AWS_ACCESS_KEY_ID="demo",
        AWS_SECRET_ACCESS_KEY="demo",
        PROTOBRIDGE_AWS_ENDPOINT_URL=endpoint,
        PROTOBRIDGE_ADMIN_LISTEN="127.0.0.1:0",
        PROTOBRIDGE_LOG_FORMAT="json",
        PROTOBRIDGE_LOG_LEVEL="info",
        **canary,
    )
    return process, process.wait_for(r'"admin":"http://([^"]+)"')


def add_canary(endpoint):
    """Creates the topic and the return queue of canaries. Returns the variables of the configuration."""
    url = sqs(endpoint, "CreateQueue", json.dumps({"QueueName": "canary-return"}).encode())["QueueUrl"]
    request = {"QueueUrl": url, "AttributeNames": ["QueueArn"]}
    arn = sqs(endpoint, "GetQueueAttributes", json.dumps(request).encode())["Attributes"]["QueueArn"]
    (topic,) = re.findall("<TopicArn>(.+)</TopicArn>", sns(endpoint, Action="CreateTopic", Name="canary"))
    sns(endpoint, Action="Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return {
        "PROTOBRIDGE_CANARY_TOPIC": topic,
        "PROTOBRIDGE_CANARY_RETURN_QUEUE_URL": url,
        "PROTOBRIDGE_CANARY_INTERVAL_SECONDS": "1",
        "PROTOBRIDGE_CANARY_DEADLINE_SECONDS": "3",
    }


def sns(endpoint, **form):
    """Makes one call of SNS and returns its answer."""
    body = urllib.parse.urlencode(form | {"Version": "2010-03-31"}).encode()
    with urllib.request.urlopen(urllib.request.Request(endpoint, body)) as answer:
        return answer.read().decode()


def sqs(endpoint, operation, body):
    """Makes one call of SQS and returns its answer."""
    headers = {"X-Amz-Target": f"AmazonSQS.{operation}", "Content-Type": "application/x-amz-json-1.0"}
    with urllib.request.urlopen(urllib.request.Request(endpoint, body, headers)) as answer:
        return json.loads(answer.read() or b"{}")


def add_dead_letter_queue(endpoint, folder):
    """Gives the demo's queue a redrive policy and a dead-letter queue."""
    queue = json.load(open(f"{folder}/send-order.json"))["QueueUrl"]
    dead = sqs(endpoint, "CreateQueue", json.dumps({"QueueName": "dead"}).encode())["QueueUrl"]
    request = {"QueueUrl": dead, "AttributeNames": ["QueueArn"]}
    arn = sqs(endpoint, "GetQueueAttributes", json.dumps(request).encode())["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1000})
    request = {"QueueUrl": queue, "Attributes": {"RedrivePolicy": policy}}
    sqs(endpoint, "SetQueueAttributes", json.dumps(request).encode())


def send_duplicates(endpoint, folder):
    """Sends one event sixteen times, so that each of the three services is likely to receive it twice."""
    order = open(f"{folder}/send-order.json", "rb").read()
    for _ in range(16):
        sqs(endpoint, "SendMessage", order)


def prometheus(work, rules, targets):
    """Starts a Prometheus that evaluates the rules every second. `targets` maps the label `pod` to an address."""
    shutil.rmtree(work / "data", ignore_errors=True)
    (work / "rules.yaml").write_text(rules.read_text().replace("interval: 1m", "interval: 1s"))
    groups = [
        {"targets": [address], "labels": {"namespace": "shop", "job": "protobridge", "pod": name}}
        for name, address in targets.items()
    ]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "protobridge", "static_configs": groups}],
    }
    # JSON is YAML.
    (work / "prometheus.yaml").write_text(json.dumps(config))
    command = ["prometheus", f"--config.file={work}/prometheus.yaml", f"--storage.tsdb.path={work}/data"]
    process = Process(work, "prometheus", [*command, "--web.listen-address=127.0.0.1:0"])
    url = "http://" + process.wait_for(r'msg="Listening on".* address=(\S+)')
    process.wait_for(r"(Server is ready to receive web requests)")
    return process, url
