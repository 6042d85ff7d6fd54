"""The steps of "The whole path of a change" in docs/schema-owners.md: from the edit to the customer's JSON."""

import contextlib
import json
import shutil
import threading
import urllib.request

from ground import encode

# The field is added before this line.
BEFORE = "  // One article of an order.\n"
# Two orders before the release: the producer of the second one writes the new field already.
ORDERS = [
    'meta {event_id: "e-1" tenant_id: "acme"} order_id: "ord_1"',
    'meta {event_id: "e-2" tenant_id: "acme"} order_id: "ord_2" gift_note: "Happy birthday!"',
]
AFTERWARDS = 'meta {event_id: "e-3" tenant_id: "acme"} order_id: "ord_3" gift_note: "Get well soon!"'


def follow(page, account):
    folder = page.work / "change"
    shutil.copytree(page.tree / "proto/examples", folder)
    page.shell.enter(folder)
    buckets(page, account)
    page.file()
    (folder / "customers.yaml").write_text("customers: [{id: acme}, {id: globex}]\n")
    service = start(page, folder)
    order = folder / "shop/v1/order.proto"
    text = order.read_text()
    assert text.count(BEFORE) == 1, "the field has no place in order.proto"
    order.write_text(text.replace(BEFORE, f"{page.next('proto').text}\n{BEFORE}"))
    for text in ORDERS:
        send(page, account, folder, text)
        assert service.wait_until("the customer has the order", account.receive)
    page.run()
    page.file()
    page.run()
    page.run()
    compare = page.peek()
    with traffic(page, account, folder):
        # The archive knows that it has all messages of a window once it has later ones.
        archived = lambda: page.shell.run(compare).code == 0  # noqa: E731
        service.wait_until("the archive has the orders", archived)
        page.run(numbers=True)
    page.run()
    service.wait_until("the set is in force", lambda: admissions(page)[-1]["decision"] == "replaced")
    send(page, account, folder, AFTERWARDS)
    page.shell.run(f"QUEUE_OF_ACME={account.inbox}")
    page.run()
    count = len(admissions(page))
    page.run()
    service.wait_until("the former version is in force", lambda: len(admissions(page)) > count)
    former, _, again = (each["hash"] for each in admissions(page)[-3:])
    assert former == again, "another version than the former one is in force"
    code = service.stop()
    assert code == 0, f"SIGTERM ends the service with {code}"


def buckets(page, account):
    """Creates the buckets, of which the one of the sets keeps versions, and releases the first version of the set."""
    for bucket in ("acme-schemas", "acme-protobridge"):
        account.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    account.s3.put_bucket_versioning(Bucket="acme-schemas", VersioningConfiguration={"Status": "Enabled"})
    body = (page.tree / "descriptors/shop.binpb").read_bytes()
    account.s3.put_object(Bucket="acme-schemas", Key="released/shop/shop.binpb", Body=body)


def start(page, folder):
    command = "PROTOBRIDGE_DESCRIPTORS_POLL_SECONDS=1 protobridge run --config protobridge.yaml"
    service = page.shell.start(command, page.work / "change.log")
    ready = f"curl -sf {page.real('http://localhost:8080')}/readyz"
    service.wait_until("/readyz is 200", lambda: page.shell.run(ready).code == 0)
    return service


def send(page, account, folder, text):
    account.send("shop.v1.OrderPlaced", encoded(page, folder, text))


def encoded(page, folder, text):
    return encode(page.shell.environment, [folder], "shop.v1.OrderPlaced", text, "shop/v1/order.proto")


@contextlib.contextmanager
def traffic(page, account, folder):
    """Sends orders of globex all the time."""
    ended = threading.Event()
    order = encoded(page, folder, 'meta {tenant_id: "globex"} order_id: "ord_7"')

    def send_orders():
        while not ended.wait(0.1):
            account.send("shop.v1.OrderPlaced", order)

    sender = threading.Thread(target=send_orders)
    sender.start()
    try:
        yield
    finally:
        ended.set()
        sender.join()


def admissions(page):
    with urllib.request.urlopen(f"{page.real('http://localhost:8080')}/schemas") as answer:
        return json.load(answer)["admissions"]
