"""A Prometheus that scrapes two protobridges: one that is well, and one for which everything goes wrong."""

import http.client
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

# A debug build on a busy machine takes some seconds to start.
PATIENCE = 60


def until(what, probe):
    """What probe returns once it is neither None nor empty."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"alerts: {what} did not happen within {PATIENCE} s")


class Process:
    """A process, with what it prints in a file, until the end of the block."""

    def __init__(self, work, name, command, **environment):
        self.log = work / f"{name}.log"
        with self.log.open("wb") as log:
            environment = {**os.environ, "TMPDIR": str(work / "tmp"), **environment}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def says(self, pattern):
        """The first group of the pattern in what the process prints."""

        def probe():
            if self.process.poll() is not None:
                raise SystemExit(f"alerts: {self.process.args[0]} ended by itself:\n{self.log.read_text()}")
            found = re.search(pattern, self.log.read_text())
            return found and found.group(1)

        return until(f"{pattern} in {self.log}", probe)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Throttling(http.server.ThreadingHTTPServer):
    """Stands before SQS and SNS, and throttles every other publish."""

    def __init__(self, endpoint):
        super().__init__(("127.0.0.1", 0), Forward)
        self.behind = urllib.parse.urlsplit(endpoint).netloc
        self.publishes = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        # A service that is ended leaves its connections as they are.
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
        behind = http.client.HTTPConnection(self.server.behind)
        # The emulator writes its own address into what it answers, so it has to see it.
        headers = {**dict(self.headers), "Host": self.server.behind}
        behind.request("POST", self.path, body, headers)
        answer = behind.getresponse()
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
    """The demo, and the parts of it that others use: its endpoint for SQS and SNS, its folder, its admin endpoint."""
    process = Process(work, "demo", [protobridge, "demo", "--rate", "50", "--quiet"])
    endpoint = process.says(r"SQS and SNS +(\S+)")
    folder = process.says(r"configuration +(\S+)")
    return process, endpoint, folder, process.says(r"admin endpoint +http://(\S+)")


def troubled(work, protobridge, endpoint, folder):
    """A service on the demo's queue that SNS throttles and that cannot reach its Redis, and its admin endpoint."""
    process = Process(
        work,
        "troubled",
        [protobridge, "run", "--config", f"{folder}/protobridge.yaml"],
        AWS_ACCESS_KEY_ID="demo",
        AWS_SECRET_ACCESS_KEY="demo",
        PROTOBRIDGE_AWS_ENDPOINT_URL=endpoint,
        PROTOBRIDGE_DEDUPE_REDIS_URL="redis://127.0.0.1:1",
        PROTOBRIDGE_LOG_FORMAT="json",
        PROTOBRIDGE_LOG_LEVEL="info",
    )
    return process, process.says(r'"admin":"http://([^"]+)"')


def send_twice(endpoint, folder):
    """The same event, often enough for either of two services to see it twice."""
    order = open(f"{folder}/send-order.json", "rb").read()
    for _ in range(8):
        headers = {"X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": "application/x-amz-json-1.0"}
        urllib.request.urlopen(urllib.request.Request(endpoint, order, headers)).read()


def prometheus(work, rules, targets):
    """A Prometheus with these rules, evaluated every second, and these targets by the label instance."""
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
    url = "http://" + process.says(r'msg="Listening on".* address=(\S+)')
    process.says(r"(Server is ready to receive web requests)")
    return process, url
