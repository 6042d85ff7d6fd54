"""Sends events to a queue with boto3, in turn as a Binary attribute and as base64 in the body."""

import argparse
import base64

import boto3

import shop_events

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint-url", required=True)
parser.add_argument("--region", required=True)
parser.add_argument("--descriptor-set", required=True)
parser.add_argument("--count", type=int, required=True)
parser.add_argument("--seed", required=True)
parser.add_argument("--queue-url", required=True)
parser.add_argument("--customer", action="append", required=True)
args = parser.parse_args()


def entry(number, event):
    attributes = {"message-type": {"DataType": "String", "StringValue": event.type}}
    body = "-"
    if number % 2:
        body = base64.b64encode(event.payload).decode()
    else:
        attributes["payload"] = {"DataType": "Binary", "BinaryValue": event.payload}
    return {"Id": str(number), "MessageBody": body or "-", "MessageAttributes": attributes}


sqs = boto3.client("sqs", endpoint_url=args.endpoint_url, region_name=args.region)
events = shop_events.events(args.descriptor_set, args.seed, args.count, args.customer)
entries = [entry(number, event) for number, event in enumerate(events)]
for first in range(0, len(entries), 10):
    answer = sqs.send_message_batch(QueueUrl=args.queue_url, Entries=entries[first : first + 10])
    assert not answer.get("Failed"), answer["Failed"]
