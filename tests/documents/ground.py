"""The AWS account that the documents assume, a role that is denied an action, and the encoding of events."""

import base64
import http.client
import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[2]
# ministack takes an access key of twelve digits as the number of the account.
ACCOUNT, REGION = "123456789012", "eu-west-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_DEFAULT_REGION": REGION,
}


class Account:
    """The account 123456789012 in ministack: the queue `events`, its quarantine queue, the topics of the customers."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        client = {"endpoint_url": endpoint, "region_name": REGION, "aws_access_key_id": ACCOUNT}
        client["aws_secret_access_key"] = "test"
        self.sqs, self.sns, self.s3 = (boto3.client(service, **client) for service in ("sqs", "sns", "s3"))
        dead = self.queue("events-dead")
        policy = {"deadLetterTargetArn": self.arn("sqs", "events-dead"), "maxReceiveCount": "600"}
        self.queue("events", RedrivePolicy=json.dumps(policy))
        self.queue("events-quarantine")
        assert dead
        for topic in ("json-events-acme", "json-events-globex"):
            self.sns.create_topic(Name=topic)
        self.sns.create_topic(Name="initech-events.fifo", Attributes={"FifoTopic": "true"})
        self.inbox = self.queue("inbox")
        raw = {"RawMessageDelivery": "true"}
        topic = self.arn("sns", "json-events-acme")
        self.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.arn("sqs", "inbox"), Attributes=raw)

    def queue(self, name, **attributes):
        return self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    @staticmethod
    def arn(service, name):
        return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"

    def send(self, message_type, payload, **attributes):
        """Sends an event to the queue `events`."""
        url = self.sqs.get_queue_url(QueueName="events")["QueueUrl"]
        texts = {"message-type": message_type} | attributes
        values = {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}
        self.sqs.send_message(QueueUrl=url, MessageBody=base64.b64encode(payload).decode(), MessageAttributes=values)

    def receive(self):
        """Receives one event of acme, or returns `None`."""
        found = self.sqs.receive_message(QueueUrl=self.inbox, WaitTimeSeconds=1, MessageAttributeNames=["All"])
        for message in found.get("Messages", []):
            self.sqs.delete_message(QueueUrl=self.inbox, ReceiptHandle=message["ReceiptHandle"])
            return message
        return None


class Denying(http.server.ThreadingHTTPServer):
    """A proxy in front of an emulator that denies actions of SQS, and `ListBucket`, as AWS does for a role whose policy
    lacks them."""

    def __init__(self, endpoint, *actions):
        super().__init__(("127.0.0.1", 0), Deny)
        self.upstream, self.actions = endpoint.removeprefix("http://"), actions
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        # A service that stops does not wait for the answers to its polls.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Deny(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        # A policy has one action for a call and its batch.
        action = self.headers.get("x-amz-target", "").split(".")[-1].removesuffix("Batch")
        if action in self.server.actions:
            kind = "com.amazon.coral.service#AccessDeniedException"
            error = {"__type": kind, "message": f"no policy allows {action}"}
            names = {"x-amzn-query-error": "AccessDenied;Sender"}
            return self.answer(400, "application/x-amz-json-1.0", json.dumps(error).encode(), names)
        return self.forward(body)

    def do_GET(self):
        if "list-type=2" in self.path and "ListBucket" in self.server.actions:
            error = "<Error><Code>AccessDenied</Code><Message>no policy allows s3:ListBucket</Message></Error>"
            return self.answer(403, "application/xml", error.encode())
        return self.forward(None)

    def forward(self, body):
        upstream = http.client.HTTPConnection(self.server.upstream)
        # The emulator takes the address in its answers from the header `host`, so that must be its own address.
        headers = {name.lower(): value for name, value in self.headers.items()} | {"host": self.server.upstream}
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        kept = {name: value for name in ("etag",) if (value := answer.getheader(name))}
        return self.answer(answer.status, answer.getheader("content-type", "text/xml"), answer.read(), kept)

    def answer(self, status, kind, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def encode(environment, protos, message_type, text, *files):
    """Encodes a message in the text format of Protobuf."""
    command = ["protoc", *(f"-I{folder}" for folder in protos), f"--encode={message_type}", *files]
    return subprocess.run(command, input=text.encode(), env=environment, capture_output=True, check=True).stdout
