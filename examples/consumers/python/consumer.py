"""Reads the events of a queue and acts once on each: adds up the revenue of placed orders, by currency.

    QUEUE_URL=https://sqs.eu-west-1.amazonaws.com/210987654321/events python consumer.py

The queue is subscribed with raw message delivery. The act and the identity of its event are stored in one transaction, in
the SQLite file DATABASE (`consumer.db` if unset). STOP_WHEN_IDLE=1 ends the program when the queue is empty.
PRINT_EVENTS=1 prints the type, the id and the SHA-256 of the JSON of each event that the program acts on.
"""

import hashlib
import json
import os
import sqlite3

import boto3

QUEUE_URL = os.environ["QUEUE_URL"]
STOP_WHEN_IDLE = os.environ.get("STOP_WHEN_IDLE") == "1"
PRINT_EVENTS = os.environ.get("PRINT_EVENTS") == "1"

# `isolation_level=None` leaves the transactions to this program.
database = sqlite3.connect(os.environ.get("DATABASE", "consumer.db"), isolation_level=None)
database.execute("CREATE TABLE IF NOT EXISTS seen (event_type TEXT, event_id TEXT, PRIMARY KEY (event_type, event_id))")
# The amounts are text, because an amount of 64 bits can grow beyond 64 bits.
database.execute("CREATE TABLE IF NOT EXISTS revenue (currency TEXT PRIMARY KEY, minor TEXT)")

KNOWN_STATUSES = {"ORDER_STATUS_PENDING", "ORDER_STATUS_PAID"}

s3 = boto3.client("s3")


def json_of(message):
    """Returns the JSON of an event. The JSON of a large event is an object in S3, and the body points to it."""
    if "ExtendedPayloadSize" not in message["MessageAttributes"]:
        return message["Body"]
    pointer = json.loads(message["Body"])[1]
    return s3.get_object(Bucket=pointer["s3BucketName"], Key=pointer["s3Key"])["Body"].read().decode()


def act(event_type, event):
    """Acts on one event. Ignores types and fields that it does not know."""
    if event_type != "shop.v1.OrderPlaced":
        return
    # A new enum value is a name that this program does not know. A number is a value that protobridge does not know.
    status = event.get("status", "ORDER_STATUS_UNSPECIFIED")
    if status not in KNOWN_STATUSES:
        print(f"order {event.get('orderId')} has the unknown status {status}")
    # An absent field has its default. 64-bit integers are strings.
    total = event.get("total", {})
    currency, minor = total.get("currency"), int(total.get("amountMinor", "0"))
    if not currency:
        return
    row = database.execute("SELECT minor FROM revenue WHERE currency = ?", [currency]).fetchone()
    minor += int(row[0]) if row else 0
    database.execute("INSERT OR REPLACE INTO revenue VALUES (?, ?)", [currency, str(minor)])


def process(message):
    """Acts on a message unless its event was acted on before."""
    attributes = {name: value.get("StringValue") for name, value in message["MessageAttributes"].items()}
    identity = [attributes["event-type"], attributes["event-id"]]
    body = json_of(message)
    database.execute("BEGIN IMMEDIATE")
    try:
        inserted = database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", identity).rowcount
        if inserted:
            act(attributes["event-type"], json.loads(body))
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    if inserted and PRINT_EVENTS:
        print("event", *identity, hashlib.sha256(body.encode()).hexdigest())
    return bool(inserted)


def main():
    sqs = boto3.client("sqs")
    acted = repeated = 0
    while True:
        answer = sqs.receive_message(
            QueueUrl=QUEUE_URL,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=1 if STOP_WHEN_IDLE else 20,
            MessageAttributeNames=["All"],
        )
        messages = answer.get("Messages", [])
        for message in messages:
            try:
                if process(message):
                    acted += 1
                else:
                    repeated += 1
            except Exception as error:  # The message comes back, and moves to the dead-letter queue in the end.
                print(f"message {message['MessageId']}: {error!r}")
                continue
            # Delete after the commit: a crash in between repeats the event, and the table of seen events skips it.
            sqs.delete_message(QueueUrl=QUEUE_URL, ReceiptHandle=message["ReceiptHandle"])
        if STOP_WHEN_IDLE and not messages:
            break
    revenue = dict(database.execute("SELECT currency, minor FROM revenue ORDER BY currency"))
    print(json.dumps({"acted": acted, "repeated": repeated, "revenue": revenue}))


if __name__ == "__main__":
    main()
