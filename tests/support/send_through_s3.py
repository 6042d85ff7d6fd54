"""Sends the body on standard input with the SQS extended client, which stores it in S3 and sends a pointer to it."""

import argparse
import sys

import boto3
import sqs_extended_client  # noqa: F401, the import patches boto3

parser = argparse.ArgumentParser()
parser.add_argument("--queue-url", required=True)
parser.add_argument("--bucket", required=True)
parser.add_argument("--message-type", required=True)
parser.add_argument("--legacy", action="store_true", help="use the attribute name of the first versions of the client")
args = parser.parse_args()

sqs = boto3.client("sqs")
sqs.s3_client.create_bucket(
    Bucket=args.bucket, CreateBucketConfiguration={"LocationConstraint": sqs.meta.region_name}
)
sqs.large_payload_support = args.bucket
sqs.always_through_s3 = True
sqs.use_legacy_attribute = args.legacy
sqs.send_message(
    QueueUrl=args.queue_url,
    MessageBody=sys.stdin.read(),
    MessageAttributes={"message-type": {"DataType": "String", "StringValue": args.message_type}},
)
