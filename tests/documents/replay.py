"""The steps of docs/replay.md."""

import json
import re
import signal
import socket

import yaml
from page import MINIMAL, Untrue
from world import free_port


def start_demo(page):
    """Starts the demo, and waits until its service runs."""
    demo = page.start()
    (page.work / "service.pid").write_text(f"{demo.process.pid}\n")
    demo.wait_until("the demo prints its endpoints", lambda: "admin endpoint" in demo.output)
    return demo


def two_ports():
    """Returns a free port whose successor is free, too: the demo takes both."""
    while True:
        port = free_port()
        with socket.socket() as next_one:
            try:
                next_one.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def lost(page):
    page.shell.enter(page.tree)
    page.shell.environment["HOSTNAME"] = "laptop"
    # Files that do not exist make a replay warn. HOME has none either.
    page.shell.run("export HOSTNAME=laptop; unset AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE")
    page.replaced["4100"] = two_ports()
    page.demo = start_demo(page)
    page.run()
    length = "demo-aws sqs get-queue-attributes --queue-url $QUEUE --attribute-names ApproximateNumberOfMessages"
    count = lambda: int(re.search(r'"(\d+)"', page.shell.run(length).output)[1])  # noqa: E731
    page.demo.wait_until("the consumer has 150 events", lambda: count() >= 150)
    page.run()
    assert count() < 100, "the consumer has lost nothing"
    page.run(numbers=True)
    forecast = page.run(numbers=True).output
    page.run(numbers=True, code=130)
    done = page.run(numbers=True).output
    published = re.search(r"([\d,]+) deliveries would be published", forecast)[1]
    if f"selected; {published} deliveries were published" not in done:
        raise Untrue(page.place, f"the dry run said {published}:\n{done}")
    received = page.run().output
    page.counts["checked"] += 1
    events = [json.loads(line) for line in received.splitlines()]
    assert events and {event["replay"] for event in events} <= {"incident-42", None}, received


def unconfirmed(page):
    page.run(numbers=True, code=1)


def gaps(page):
    page.run(numbers=True, code=1)
    page.demo.process.wait(30)


def late(page):
    demo = start_demo(page)
    cards = lambda: page.shell.run("protobridge quarantine list --config late/protobridge.yaml --json").output  # noqa: E731
    is_there = lambda: '"reason": "unknown_type"' in cards()  # noqa: E731
    demo.wait_until("a gift card is in quarantine", is_there)
    page.run(numbers=True)
    shown = page.run().output
    told, real = (re.search(r'"message_id": "(\S+)"', text)[1] for text in (page.source, shown))
    page.run()
    page.run(numbers=True)
    redriven = page.run(numbers=True).output
    assert re.search(r"unknown_type .* 0\n", redriven), redriven
    page.run(numbers=True)
    page.replaced[told] = real
    page.run(numbers=True)
    code = demo.stop(signal.SIGINT)
    assert code == 0, f"Ctrl-C ends the demo with {code}:\n{demo.output}"


# What the values of an installation need besides.
INSTALLED = {
    "image": {"repository": "registry.example.com/protobridge"},
    "config": MINIMAL | {"store": {"url": "s3://acme-protobridge/prod"}, "archive": {"enabled": True}},
    "customers": {"existingConfigMap": {"name": "customers"}},
    "descriptors": {"existingConfigMap": "descriptors"},
}


def kubernetes(page):
    for kind in ("replay", "redrive"):
        block, values = page.yaml()
        name = f"{kind}-values.yaml"
        (page.tree / name).write_text(yaml.safe_dump(INSTALLED | values))
        page.files = {name: block}
        result = page.shell.run(f"helm upgrade events charts/protobridge --values {name}")
        page.counts["checked"] += 1
        if result.code != 0:
            raise Untrue(page.place_in_file(result.output) or block.place, result.output)
        rendered = yaml.safe_load_all((page.work / "rendered.yaml").read_text())
        (job,) = (each for each in rendered if each and each["kind"] == "Job")
        (container,) = job["spec"]["template"]["spec"]["containers"]
        arguments = container["args"]
        assert arguments[0] == kind and "--dry-run" in arguments, arguments
    page.run()
    for kind in ("replay", "redrive"):
        policy = json.loads((page.tree / f"{kind}.json").read_text())
        assert policy["Statement"], policy


sections = {
    "Five minutes lost by a consumer": lost,
    "Only what was not delivered": unconfirmed,
    "Gaps": gaps,
    "A schema that came too late": late,
    "In Kubernetes": kubernetes,
}
