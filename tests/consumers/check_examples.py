"""Runs each of the example consumers against ministack.

    check_examples.py --events EVENTS --work FOLDER LANGUAGE=COMMAND…

Each consumer gets a queue of its own with the same events: each event twice, events of two types with one id, and events
whose JSON is in S3. It must act once on each event, also after a restart, and must add up integers of 64 bits exactly.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))

from world import ministack  # noqa: E402

REGION, ACCOUNT = "eu-west-1", "000000000000"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:json-events-acme"

parser = argparse.ArgumentParser()
parser.add_argument("--events", type=Path, required=True, help="lines of PROFILE<TAB>TYPE<TAB>JSON")
parser.add_argument("--work", type=Path, required=True)
parser.add_argument("consumers", nargs="+", help="LANGUAGE=COMMAND")
args = parser.parse_args()

emulator = ExitStack()
endpoint = emulator.enter_context(ministack(args.work, "sqs,sns,s3"))
os.environ.update(
    AWS_ENDPOINT_URL=endpoint, AWS_DEFAULT_REGION=REGION, AWS_REGION=REGION, AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test", AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/nonexistent",
    AWS_SHARED_CREDENTIALS_FILE="/nonexistent", STOP_WHEN_IDLE="1",
    PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
)
sqs, sns, s3 = boto3.client("sqs"), boto3.client("sns"), boto3.client("s3")
sns.create_topic(Name="json-events-acme")
s3.create_bucket(Bucket="acme-claims", CreateBucketConfiguration={"LocationConstraint": REGION})


def publish(event_type, event_id, body):
    """Publishes an event with the attributes that protobridge gives it."""
    values = {"event-type": event_type, "event-id": event_id, "customer-id": "acme", "content-type": "application/json"}
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
    if event_id.startswith("large"):
        key = f"claims/acme/{event_id}.json"
        s3.put_object(Bucket="acme-claims", Key=key, Body=body, ContentType="application/json")
        attributes["ExtendedPayloadSize"] = {"DataType": "Number", "StringValue": str(len(body.encode()))}
        pointer = {"s3BucketName": "acme-claims", "s3Key": key}
        body = json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", pointer])
    sns.publish(TopicArn=TOPIC, Message=body, MessageAttributes=attributes)


# The events, and the sums that they must give.
events = []
for number, line in enumerate(args.events.read_text().splitlines()):
    profile, event_type, body = line.split("\t", 2)
    if profile == "default" and (number % 8 == 0 or "addedLater" in body):
        events.append((event_type, f"id-{number}", body))
big = json.dumps({"orderId": "big", "total": {"currency": "EUR", "amountMinor": "9007199254740993"}})
events += [("shop.v1.OrderPlaced", "big-1", big), ("shop.v1.OrderPlaced", "big-2", big)]
# These are larger than a message of SNS can be.
large = json.dumps(json.loads(big) | {"note": "Größe " * 60_000}, ensure_ascii=False)
events += [("shop.v1.OrderPlaced", "large-1", large), ("shop.v1.OrderPlaced", "large-2", large)]
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
emulator.close()
