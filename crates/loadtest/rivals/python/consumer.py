"""Receives, publishes and deletes."""

import base64
import logging
import os
from collections import defaultdict
from collections.abc import Iterator

import boto3
from botocore.config import Config

from convert import Converter

# The most bytes that one publish can carry.
MAX_BYTES = 256 * 1024
# An upper bound for the attributes of one message, in bytes.
ATTRIBUTE_BYTES = 512


class Consumer:
    """The clients of one process, which its threads share."""

    def __init__(self, converter: Converter, loops: int) -> None:
        self._converter = converter
        self._queue_url = os.environ["RIVAL_QUEUE_URL"]
        self._topic_template = os.environ["RIVAL_TOPIC_TEMPLATE"]
        config = Config(
            region_name="eu-west-1",
            # The default is 10 connections, which is too few for more threads.
            max_pool_connections=max(loops, 10),
            # SQS and SNS validate the parameters too.
            parameter_validation=False,
        )
        self._sqs = boto3.client("sqs", endpoint_url=os.environ["RIVAL_ENDPOINT"], config=config)
        self._sns = boto3.client("sns", endpoint_url=os.environ["RIVAL_ENDPOINT"], config=config)

    def loop(self) -> None:
        while True:
            try:
                self._pass()
            except Exception:
                # The messages stay on the queue, and return after their visibility timeout.
                logging.exception("a batch failed")

    def _pass(self) -> None:
        """Receives up to ten messages, publishes them and deletes those that were published."""
        received = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=20,
            MessageAttributeNames=["All"],
        )
        topics: dict[str, list[dict]] = defaultdict(list)
        handles: dict[str, str] = {}
        for index, message in enumerate(received.get("Messages", [])):
            try:
                topic, entry = self._outgoing(str(index), message)
            except Exception:
                # The message returns until the redrive policy of the queue moves it to the dead-letter queue.
                logging.exception("a message cannot be converted")
                continue
            topics[topic].append(entry)
            handles[entry["Id"]] = message["ReceiptHandle"]
        published = [handles[id] for topic, entries in topics.items() for id in self._publish(topic, entries)]
        self._delete(published)

    def _outgoing(self, entry_id: str, message: dict) -> tuple[str, dict]:
        """Converts a message. Returns the topic and the entry to publish."""
        attributes = message["MessageAttributes"]
        event_type = attributes["message-type"]["StringValue"]
        customer = attributes["customer-id"]["StringValue"]
        event = self._converter.convert(event_type, base64.b64decode(message["Body"]))
        values = {
            "event-id": attributes["event-id"]["StringValue"],
            "event-type": event_type,
            "customer-id": customer,
            "event-time": event.time,
            "content-type": "application/json",
            "schema-hash": self._converter.schema_hash,
        }
        entry = {
            "Id": entry_id,
            "Message": event.json,
            # SNS refuses an attribute without a value.
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value} for name, value in values.items() if value
            },
        }
        return self._topic_template.replace("{customer}", customer), entry

    def _publish(self, topic: str, entries: list[dict]) -> list[str]:
        """Publishes to one topic. Returns the ids of the entries that SNS accepted."""
        accepted = []
        for call in calls(entries):
            try:
                answer = self._sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=call)
            except Exception:
                logging.exception("cannot publish to %s", topic)
                continue
            accepted += [entry["Id"] for entry in answer.get("Successful", [])]
            for entry in answer.get("Failed", []):
                logging.error("SNS refused an entry for %s: %s", topic, entry["Code"])
        return accepted

    def _delete(self, receipt_handles: list[str]) -> None:
        if not receipt_handles:
            return
        entries = [{"Id": str(index), "ReceiptHandle": handle} for index, handle in enumerate(receipt_handles)]
        answer = self._sqs.delete_message_batch(QueueUrl=self._queue_url, Entries=entries)
        for entry in answer.get("Failed", []):
            logging.error("SQS did not delete a message: %s", entry["Code"])


def calls(entries: list[dict]) -> Iterator[list[dict]]:
    """Splits entries into calls that are not too large."""
    call: list[dict] = []
    size = 0
    for entry in entries:
        added = len(entry["Message"].encode()) + ATTRIBUTE_BYTES
        if call and size + added > MAX_BYTES:
            yield call
            call, size = [], 0
        call.append(entry)
        size += added
    if call:
        yield call
