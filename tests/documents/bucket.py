"""The steps of "Sets and customers in a bucket" in docs/operations.md."""

import json
import urllib.request

import yaml
from ground import Denying
from page import MINIMAL


def follow(page, account, admin):
    block, part = page.yaml()
    folder = page.work / "bucket"
    folder.mkdir()
    for bucket in ("acme-schemas", "acme-config"):
        account.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    sets = (page.tree / "descriptors/shop.binpb").read_bytes()
    account.s3.put_object(Bucket="acme-schemas", Key="released/shop/shop.binpb", Body=sets)
    account.s3.put_object(Bucket="acme-config", Key="customers.yaml", Body=b"customers: [{id: acme}]\n")
    config = MINIMAL | {key: MINIMAL.get(key, {}) | value for key, value in part.items()}
    (folder / "protobridge.yaml").write_text(yaml.safe_dump(config))
    page.files = {"protobridge.yaml": block}
    page.counts["checked"] += 1
    denying = Denying(account.endpoint)
    variables = f"AWS_ENDPOINT_URL={denying.url} PROTOBRIDGE_ADMIN_LISTEN={admin}"
    command = f"{variables} PROTOBRIDGE_DESCRIPTORS_POLL_SECONDS=1 protobridge run --config '{folder}/protobridge.yaml'"
    service = page.shell.start(command, page.work / "bucket.log")
    service.wait_until("/readyz is 200", lambda: page.shell.run(f"curl -sf http://{admin}/readyz").code == 0)
    denying.actions = ("ListBucket",)
    places = lambda: get(admin)["places"]  # noqa: E731
    service.wait_until("the listing is denied", lambda: "last_error" in places()[0])
    page.json({"places": places()})
    denying.actions = ()
    before = places()[0]["last_success_at"]
    service.wait_until("a poll succeeds again", lambda: places()[0]["last_success_at"] != before)
    code = service.stop()
    assert code == 0, f"SIGTERM ends the service with {code}"


def get(admin):
    with urllib.request.urlopen(f"http://{admin}/status") as answer:
        return json.load(answer)
