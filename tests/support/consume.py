"""Reads the customers' queues with boto3 until every event of a producer has arrived, and compares the messages.

Prints a JSON object: the number of messages received, of duplicates, of missing events, and of messages that differ
from the output of `json_format`, with up to three examples.
"""

import argparse
import json
import time

import boto3

import shop_events

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint-url", required=True)
parser.add_argument("--region", required=True)
parser.add_argument("--descriptor-set", required=True)
parser.add_argument("--count", type=int, required=True)
parser.add_argument("--seed", required=True)
parser.add_argument("--queue", action="append", required=True, help="CUSTOMER=URL")
parser.add_argument("--deadline-seconds", type=float, required=True)
args = parser.parse_args()


def is_correct(event, customer, message):
    """Returns whether a message has the right customer, type, content type and JSON."""
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    return (
        event.customer == customer == attributes["customer-id"]
        and event.type == attributes["event-type"]
        and attributes["content-type"] == "application/json"
        and shop_events.same(json.loads(message["Body"]), event.json)
    )


def receive(sqs, url):
    answer = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
    )
    messages = answer.get("Messages", [])
    if messages:
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
        answer = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        assert not answer.get("Failed"), answer["Failed"]
    return messages


queues = dict(queue.split("=", 1) for queue in args.queue)
sent = shop_events.events(args.descriptor_set, args.seed, args.count, list(queues))
missing = {event.id: event for event in sent}
arrived, different, received = {}, [], 0
sqs = boto3.client("sqs", endpoint_url=args.endpoint_url, region_name=args.region)
deadline = time.monotonic() + args.deadline_seconds
idle = False
while (missing or not idle) and time.monotonic() < deadline:
    idle = True
    for customer, url in queues.items():
        for message in receive(sqs, url):
            idle = False
            received += 1
            event_id = message["MessageAttributes"]["event-id"]["StringValue"]
            event = arrived.get(event_id) or missing.pop(event_id)
            arrived[event_id] = event
            if not is_correct(event, customer, message):
                different.append({"type": event.type, "ours": message["Body"], "theirs": event.json})
print(
    json.dumps(
        {
            "received": received,
            "duplicates": received - len(arrived),
            "missing": len(missing),
            "different": len(different),
            "first_different": different[:3],
        }
    )
)
