"""The steps of the sections about the canary in docs/operations.md."""

import json
import re
import urllib.request

import yaml
from page import MINIMAL


def figure(page):
    page.excuse(" protobridge canary ──►", "a figure, no output")


def set_up(page):
    page.check_part(*page.yaml())


def read(page, account, admin):
    """Starts a service and a prober with the interval and the deadline of the text, and stops the service."""
    folder = page.work / "canary"
    page.shell.enter(folder)
    topic = account.sns.create_topic(Name="canary")["TopicArn"]
    back = account.queue("back")
    account.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=account.arn("sqs", "back"))
    canary = {"queue": "events", "topic": topic, "return_queue_url": back, "interval_seconds": 2, "deadline_seconds": 4}
    config = MINIMAL | {"descriptors": {"path": str(page.tree / "descriptors")}, "canary": canary}
    (folder / "protobridge.yaml").write_text(yaml.safe_dump(config))
    (folder / "customers.yaml").write_text("customers: [{id: acme}]\n")
    service = page.shell.start("protobridge run", page.work / "canary-service.log")
    prober = page.shell.start(f"PROTOBRIDGE_ADMIN_LISTEN={admin} protobridge canary", page.work / "canary.log")

    def status(key):
        try:
            with urllib.request.urlopen(f"http://{admin}/status") as answer:
                return json.load(answer)["canary"][key]
        except OSError:
            return 0

    prober.wait_until("four canaries return", lambda: status("returned") >= 4)
    assert service.stop() == 0
    prober.wait_until("a canary is lost", lambda: status("lost") >= 1)
    page.replaced |= {"localhost:8081": admin, "http://127.0.0.1:40917": account.endpoint}
    page.replaced["000000000000"] = "123456789012"
    step = page.next("console").steps()[0]
    # The notifications of ministack have whole seconds, which looks like clocks that differ.
    skew = re.compile(r',\n  "clock_skew": "[^"]*"')
    status_now = skew.sub("", page.told(page.shell.run(page.real(step.command)).output))
    page.counts["run"] += 1
    page.compare(step.output, status_now, numbers=True)
    for told in ("localhost:8081", "http://127.0.0.1:40917", "000000000000"):
        del page.replaced[told]
    assert prober.stop() == 0


def sections(account, admin):
    return {
        "The canary": figure,
        "Set it up": set_up,
        "Read it": lambda page: read(page, account, admin),
    }
