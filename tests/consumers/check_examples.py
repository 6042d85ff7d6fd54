"""Runs the commands of docs/consumers.md against ministack, word by word, and then each of the example consumers.

    check_examples.py --events EVENTS --work FOLDER LANGUAGE=COMMAND…

Each consumer gets a queue of its own with the same events: each event twice, and events of two types with one id. It must
act once on each event, also after a restart, and must add up integers of 64 bits exactly.
"""

import argparse
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[2]
REGION, ACCOUNT = "eu-west-1", "000000000000"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:json-events-acme"

parser = argparse.ArgumentParser()
parser.add_argument("--events", type=Path, required=True, help="lines of PROFILE<TAB>TYPE<TAB>JSON")
parser.add_argument("--work", type=Path, required=True)
parser.add_argument("consumers", nargs="+", help="LANGUAGE=COMMAND")
args = parser.parse_args()


def start_ministack():
    """Starts ministack, which ends with this process. Returns its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": "sqs,sns", "LOG_LEVEL": "WARNING",
        "IOT_MTLS_ENABLED": "0", "TMPDIR": str(args.work),
    }
    log = (args.work / "ministack.log").open("w")
    script = ROOT / "tests/support/run_ministack.py"
    # The emulator exits when its standard input closes.
    process = subprocess.Popen([sys.executable, "-B", script], env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=5).read()
            return process, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.1)
    sys.exit(f"ministack did not start; {args.work}/ministack.log says why")


def commands(page, headings):
    """Returns the commands of the console blocks below these headings."""
    lines, wanted, inside = [], False, False
    for line in page.read_text().splitlines():
        if line.startswith("## "):
            wanted = line[3:] in headings
        elif line.strip() == "```console":
            inside = True
        elif line.strip() == "```":
            inside = False
        elif wanted and inside:
            lines.append(re.sub(r"^\s*\$ ", "", line))
    return "\n".join(lines)


emulator, endpoint = start_ministack()
os.environ.update(
    AWS_ENDPOINT_URL=endpoint, AWS_DEFAULT_REGION=REGION, AWS_REGION=REGION, AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test", AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/nonexistent",
    AWS_SHARED_CREDENTIALS_FILE="/nonexistent", STOP_WHEN_IDLE="1",
    PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
)
sqs, sns = boto3.client("sqs"), boto3.client("sns")
sns.create_topic(Name="json-events-acme")


def publish(event_type, event_id, body):
    """Publishes an event with the attributes that protobridge gives it."""
    values = {"event-type": event_type, "event-id": event_id, "customer-id": "acme", "content-type": "application/json"}
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
    sns.publish(TopicArn=TOPIC, Message=body, MessageAttributes=attributes)


# The page, word by word, in the account of the emulator.
page = ROOT / "docs/consumers.md"
script = re.sub("123456789012|210987654321", ACCOUNT, commands(page, ["Your first event"]))
steps, receive = script.split("aws sqs receive-message", 1)
filtering = commands(page, ["Filter"])
wait = "aws sqs receive-message" + receive
folder = args.work / "page"
folder.mkdir(exist_ok=True)
bash = subprocess.Popen(["bash", "-euo", "pipefail"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
# Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for SQS.
bash.stdin.write('aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }\n')
bash.stdin.write(f"{steps}\necho subscribed\n{wait}\necho received\n{filtering}\necho filtered\n")
bash.stdin.close()
output = []
for line in bash.stdout:
    output.append(line)
    if line == "subscribed\n":
        publish("shop.v1.OrderPlaced", "first", '{"orderId":"1"}')
if bash.wait() != 0:
    sys.exit(f"a command of docs/consumers.md failed:\n{''.join(output)}")
answer = "".join(output)
received = json.loads(answer[answer.index("subscribed\n") + 11 : answer.index("received\n")])["Messages"][0]
assert received["Body"] == '{"orderId":"1"}', received
assert received["MessageAttributes"]["event-type"]["StringValue"] == "shop.v1.OrderPlaced", received
url = sqs.get_queue_url(QueueName="events")["QueueUrl"]
settings = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
assert json.loads(settings["Policy"])["Statement"][0]["Condition"]["ArnEquals"]["aws:SourceArn"] == TOPIC, settings
assert json.loads(settings["RedrivePolicy"])["deadLetterTargetArn"].endswith(":events-dead"), settings
sqs.purge_queue(QueueUrl=url)
publish("shop.v1.PaymentCaptured", "filtered", "{}")
publish("shop.v1.PaymentFailed", "matches", "{}")
kept = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=5, MaxNumberOfMessages=10)["Messages"]
assert [message["MessageAttributes"]["event-id"]["StringValue"] for message in kept] == ["matches"], kept
print("consumers: the commands of docs/consumers.md deliver a first event and filter")

# The events, and the sums that they must give.
events = []
for number, line in enumerate(args.events.read_text().splitlines()):
    profile, event_type, body = line.split("\t", 2)
    if profile == "default" and (number % 8 == 0 or "addedLater" in body):
        events.append((event_type, f"id-{number}", body))
big = json.dumps({"orderId": "big", "total": {"currency": "EUR", "amountMinor": "9007199254740993"}})
events += [("shop.v1.OrderPlaced", "big-1", big), ("shop.v1.OrderPlaced", "big-2", big)]
# Another type can have an event with the same id.
events += [("shop.v1.OrderShipped", "big-1", "{}"), ("shop.v1.Unheard", "new", '{"any":"thing"}')]
revenue = {}
for event_type, _, body in events:
    total = json.loads(body).get("total", {})
    if event_type == "shop.v1.OrderPlaced" and total.get("currency"):
        revenue[total["currency"]] = revenue.get(total["currency"], 0) + int(total.get("amountMinor", "0"))
revenue = {currency: str(sum) for currency, sum in sorted(revenue.items())}
assert len(events) > 20 and any("addedLater" in body for _, _, body in events), "too few events"

queues = {}
for consumer in args.consumers:
    language = consumer.split("=", 1)[0]
    queues[language] = sqs.create_queue(QueueName=f"events-{language}")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:events-{language}"
    sns.subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})


def check(expected):
    """Runs every consumer until its queue is empty, and compares what it reports."""
    running = {}
    for consumer in args.consumers:
        language, command = consumer.split("=", 1)
        environment = os.environ | {"QUEUE_URL": queues[language], "DATABASE": str(args.work / f"{language}-database")}
        running[language] = subprocess.Popen(shlex.split(command), env=environment, stdout=subprocess.PIPE, text=True)
    for language, process in running.items():
        output = process.communicate(timeout=300)[0]
        report = json.loads(output.splitlines()[-1]) if process.returncode == 0 else output
        assert report == expected, f"{language} reports {report}, not {expected}"
        left = sqs.get_queue_attributes(QueueUrl=queues[language], AttributeNames=["All"])["Attributes"]
        waiting = (left["ApproximateNumberOfMessages"], left["ApproximateNumberOfMessagesNotVisible"])
        assert waiting == ("0", "0"), f"{language} left messages: {waiting}"


for event in events + events:
    publish(*event)
check({"acted": len(events), "repeated": len(events), "revenue": revenue})
# After a restart, the consumer still knows what it has acted on.
for event in events[:5]:
    publish(*event)
check({"acted": 0, "repeated": 5, "revenue": revenue})
print(f"consumers: {', '.join(queues)} act once on each of {len(events)} events")
emulator.stdin.close()
