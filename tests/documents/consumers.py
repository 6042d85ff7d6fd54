"""The steps of docs/consumers.md. The code generators of tests/consumers are on the PATH."""

import json
import re

from page import Untrue


POINTER = "software.amazon.payloadoffloading.PayloadS3Pointer"
# The blocks of the examples, in their order, and the file of each.
EXAMPLES = [
    ("java", "java/src/main/java/example/Consumer.java"), ("python", "python/consumer.py"),
    ("python", "python/extended.py"), ("typescript", "typescript/consumer.ts"),
]

# The files with the versions of their packages.
MANIFESTS = ["java/pom.xml", "python/requirements.txt", "typescript/package.json", "go/go.mod"]


def publish(account, event_type, event_id, body, others={}):
    """Publishes an event of acme with the attributes that protobridge gives it."""
    values = {"event-type": event_type, "event-id": event_id, "customer-id": "acme", "content-type": "application/json"}
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in values.items()} | others
    topic = account.arn("sns", "json-events-acme")
    account.sns.publish(TopicArn=topic, Message=body, MessageAttributes=attributes)


def first_event(page, account):
    # The queues are the reader's to create.
    for queue in ("events", "events-dead"):
        account.sqs.delete_queue(QueueUrl=account.sqs.get_queue_url(QueueName=queue)["QueueUrl"])
    # One account has the topic and the queue, because ministack has no topic policies.
    page.replaced["210987654321"] = "123456789012"
    page.shell.enter(page.work / "reader")
    for _ in range(4):
        page.run()
    publish(account, "shop.v1.OrderPlaced", "first", '{"orderId":"1"}')
    (received,) = json.loads(page.run().output)["Messages"]
    assert received["Body"] == '{"orderId":"1"}', received
    assert received["MessageAttributes"]["event-type"]["StringValue"] == "shop.v1.OrderPlaced", received
    url = account.sqs.get_queue_url(QueueName="events")["QueueUrl"]
    settings = account.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    statement = json.loads(settings["Policy"])["Statement"][0]
    assert statement["Condition"]["ArnEquals"]["aws:SourceArn"] == account.arn("sns", "json-events-acme"), settings
    assert json.loads(settings["RedrivePolicy"])["deadLetterTargetArn"].endswith(":events-dead"), settings
    key = page.json()
    if key["Condition"] != statement["Condition"] or key["Principal"] != statement["Principal"]:
        raise Untrue(page.place, "the statement of the key is for another topic than that of the queue")


def filtering(page, account):
    page.run()
    url = account.sqs.get_queue_url(QueueName="events")["QueueUrl"]
    account.sqs.purge_queue(QueueUrl=url)
    publish(account, "shop.v1.PaymentCaptured", "filtered", "{}")
    publish(account, "shop.v1.PaymentFailed", "matches", "{}")
    options = {"MessageAttributeNames": ["All"], "WaitTimeSeconds": 5, "MaxNumberOfMessages": 10}
    answer = account.sqs.receive_message(QueueUrl=url, **options)
    kept = [message["MessageAttributes"]["event-id"]["StringValue"] for message in answer["Messages"]]
    assert kept == ["matches"], f"the filter keeps {kept}"
    check_policies(page)


def check_policies(page):
    """Sets every policy of the table of filters."""
    for line in page.source.splitlines():
        if policy := re.fullmatch(r"\| [^|]+ \| `(\{.*\})`(, with `FilterPolicyScope` set to `MessageBody`)? \|", line):
            scope = "MessageBody" if policy[2] else "MessageAttributes"
            for name, value in (("FilterPolicyScope", scope), ("FilterPolicy", policy[1])):
                command = "aws sns set-subscription-attributes --subscription-arn $SUBSCRIPTION"
                result = page.shell.run(f"{command} --attribute-name {name} --attribute-value '{value}'")
                assert result.code == 0, f"{line}:\n{result.output}"
            page.counts["checked"] += 1


def large_events(page, account):
    # Account numbers and keys of the policy are examples.
    statements = page.json()["Statement"]
    (read,) = [each["Resource"] for each in statements if each["Action"] == "s3:GetObject"]
    bucket, _, prefix = read.removeprefix("arn:aws:s3:::").removesuffix("*").partition("/")
    assert f'"s3BucketName":"{bucket}","s3Key":"{prefix}' in page.source, "the policy is for another pointer"


def read_them(page, account):
    check_versions(page)
    for language, file in EXAMPLES:
        block, source = page.next(language), (page.tree / "examples/consumers" / file).read_text()
        page.counts["compared"] += 1
        text = ""
        for line in block.lines:
            text += f"{line.text}\n"
            if text not in source:
                raise Untrue(line.place, f"examples/consumers/{file} has another line")
    account.sqs.purge_queue(QueueUrl=account.sqs.get_queue_url(QueueName="events")["QueueUrl"])
    # An event as large as the one on the page.
    body = json.dumps({"orderId": "42", "note": "x" * 2**20})[: 1_048_600 - 2] + '"}'
    key = "claims/acme/2026-11-28/1.json"
    account.s3.create_bucket(Bucket="acme-claims", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    account.s3.put_object(Bucket="acme-claims", Key=key, Body=body)
    size = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": str(len(body))}}
    pointer = f'[{json.dumps(POINTER)},{{"s3BucketName":"acme-claims","s3Key":"{key}"}}]'
    publish(account, "shop.v1.OrderPlaced", "large", pointer, size)
    page.run()


def check_versions(page):
    """Compares the table of versions with the files of the examples."""
    manifests = [(page.tree / "examples/consumers" / name).read_text() for name in MANIFESTS]
    rows = 0
    for number, line in enumerate(page.source.splitlines(), 1):
        row = re.fullmatch(r"\| \w* ?\| (`[^|]+) \| (v?[\d.]+) \|", line)
        for name in re.findall("`([^`]+)`", row[1].partition(" of ")[0]) if row else []:
            pinned = rf"\b{name.rpartition('/')[2]}\W[^\n]*(\n\s*<version>)?\W*{row[2]}\b"
            if not any(re.search(pinned, text) for text in manifests):
                raise Untrue(f"{page.name}:{number}", f"no file of the examples has {name} {row[2]}")
        rows += bool(row)
    assert rows == 6, f"the table of versions has {rows} rows"
    page.counts["checked"] += rows


def document(page):
    for name in ("protobridge.yaml", "customers.yaml"):
        text = (page.tree / "tests/consumers" / name).read_text()
        (page.shell.folder / name).write_text(text.replace("../../descriptors", str(page.tree / "descriptors")))
    page.replaced["NAME"] = "compact"
    page.run()
    page.run()
    demo = page.shell.start("protobridge demo --quiet", page.work / "demo.log")
    admin = lambda: re.search(r"admin endpoint +(\S+)", demo.output)  # noqa: E731
    printed = demo.wait_until("the demo prints its admin endpoint", admin)
    page.shell.run(f"ADMIN={printed[1]}")
    demo.wait_until("the sets are loaded", lambda: page.shell.run("curl -sf $ADMIN/schemas").code == 0)
    page.shell.run("curl() { command curl --fail \"$@\"; }")
    page.run()


def generate_types(page):
    page.run()
    page.shell.run("protobridge schema asyncapi --config protobridge.yaml --customer acme --json > acme.json")
    page.run()
    for name in ("order.ts", "order-quicktype.ts", "order.py", "events.ts", "events-quicktype.ts", "events.py"):
        text = (page.shell.folder / name).read_text()
        assert re.search("order_?id", text, re.IGNORECASE), f"{name} has no type of an order"


def sections(account):
    return {
        "Your first event": lambda page: first_event(page, account),
        "Filter": lambda page: filtering(page, account),
        "Permissions": lambda page: large_events(page, account),
        "Read them": lambda page: read_them(page, account),
        "The document of your topic": document,
        "Generate types": generate_types,
    }
