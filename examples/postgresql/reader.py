"""Sends the changes of a PostgreSQL database to the input queue of protobridge, as Protobuf.

    export PGHOST=localhost PGDATABASE=warehouse PGUSER=reader
    QUEUE_URL=https://sqs.eu-west-1.amazonaws.com/123456789012/events python reader.py

PGPORT and PGPASSWORD are read, too. The reader keeps no state: it sends the rows of the outbox, and deletes each row
after SQS confirmed its message. After a failure or a crash it begins again with the rows that are there. A change can be
sent twice, and has the same event id each time.
"""

import base64
import os
import signal
import sys
import time
from pathlib import Path

import boto3
import pg8000.native
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

TYPE = "warehouse.v1.RowChanged"
# The time until the outbox is read again if it was empty, and after a failure.
POLL_SECONDS, RETRY_SECONDS = 0.2, 1
# SQS takes ten messages and 1 MiB in one call. Base64 makes four bytes of three.
MOST_ENTRIES, MOST_BYTES = 10, 1_000_000
SELECT = "SELECT id, event_id, table_name, operation, changed_at, content FROM outbox ORDER BY id LIMIT 500"
DELETE = "DELETE FROM outbox WHERE id = ANY(CAST(:ids AS bigint[]))"


def load(path):
    """Returns the message class of the events, from a compiled descriptor set."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(TYPE))


RowChanged = load(Path(__file__).resolve().parent / "descriptors/warehouse.binpb")
# Each table has a field of its name.
TABLES = {field.name for field in RowChanged.DESCRIPTOR.oneofs_by_name["row"].fields}


def entry(number, event_id, table, operation, changed_at, content):
    """Returns the entry of a batch for one row of the outbox.

    A column without a field of its name is left out: add the field to the schema first, then the column.
    """
    if table not in TABLES:
        raise SystemExit(f"{TYPE} has no field {table}: add it for the table of this name, and restart the reader")
    event = RowChanged(event_id=str(event_id), table=table, operation=f"OPERATION_{operation}")
    event.changed_at.FromDatetime(changed_at)
    json_format.ParseDict(content, getattr(event, table), ignore_unknown_fields=True)
    # A row whose columns all have their defaults is present, too.
    getattr(event, table).SetInParent()
    return {
        "Id": str(number),
        "MessageBody": base64.b64encode(event.SerializeToString()).decode(),
        "MessageAttributes": {"message-type": {"DataType": "String", "StringValue": TYPE}},
    }


def batches(entries):
    """Yields the entries in lists that SQS takes in one call."""
    batch, size = [], 0
    for each in entries:
        if batch and (len(batch) == MOST_ENTRIES or size + len(each["MessageBody"]) > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += len(each["MessageBody"])
    if batch:
        yield batch


def send(sqs, queue_url, batch):
    """Sends one batch. Returns the ids of the rows that SQS confirmed, and the reasons why it refused others."""
    try:
        answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=batch)
    except ClientError as error:
        return [], [f"rows {batch[0]['Id']} to {batch[-1]['Id']}: {error}"]
    failed = [f"row {each['Id']}: {each['Code']}: {each.get('Message')}" for each in answer.get("Failed", [])]
    return [int(each["Id"]) for each in answer.get("Successful", [])], failed


def forward(database, sqs, queue_url):
    """Sends the oldest rows of the outbox, and deletes those that SQS confirmed. Returns whether SQS took all of them.

    A row that SQS refuses stays, and the rows after it are sent.
    """
    refused = []
    for batch in batches(entry(*row) for row in database.run(SELECT)):
        confirmed, failed = send(sqs, queue_url, batch)
        database.run(DELETE, ids=confirmed)
        refused += failed
    if refused:
        log(f"SQS refused rows of the outbox, which stay there: {refused[0]}; {len(refused)} failures in all")
    return not refused


def connect():
    port = int(os.environ.get("PGPORT", "5432"))
    user, database = os.environ.get("PGUSER", "postgres"), os.environ["PGDATABASE"]
    return pg8000.native.Connection(
        user, os.environ.get("PGHOST", "localhost"), database, port, os.environ.get("PGPASSWORD"), timeout=30
    )


def reason(error):
    """Returns the text of an error. pg8000 has the answer of PostgreSQL as a dictionary with the message under `M`."""
    answer = error.args[0] if error.args else None
    return answer["M"] if isinstance(answer, dict) else error


def log(text):
    print(f"reader: {text}", file=sys.stderr, flush=True)


def main():
    # Ctrl-C ends the process at once. It has nothing to finish.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    queue_url = os.environ["QUEUE_URL"]
    sqs = boto3.client("sqs", config=Config(connect_timeout=5, read_timeout=30))
    while True:
        try:
            with connect() as database:
                log("connected")
                while True:
                    time.sleep(POLL_SECONDS if forward(database, sqs, queue_url) else RETRY_SECONDS)
        except (pg8000.native.Error, OSError, BotoCoreError) as error:
            log(f"{reason(error)}; the next attempt is in {RETRY_SECONDS} s")
            time.sleep(RETRY_SECONDS)


main()
