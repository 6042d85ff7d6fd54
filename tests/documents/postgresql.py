"""The steps of the section "A PostgreSQL source" in docs/operations.md."""

import json
import signal
import urllib.request

from page import Untrue
from postgres import Postgres

EVENT = "warehouse.v1.RowChanged"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"


def follow(page, account):
    example = page.tree / "examples/postgresql"
    text = (example / "protobridge.yaml").read_text()
    block = page.next("yaml")
    page.counts["checked"] += 1
    if block.text not in text:
        other = next((line for line in block.lines if line.text not in text.splitlines()), block.lines[0])
        raise Untrue(other.place, "the configuration of the example differs")
    # A queue of its own: on the queue `events`, polls of processes that have ended can still take messages.
    url = account.queue("warehouse")
    page.replaced[QUEUE] = url
    page.shell.environment["PROTOBRIDGE_QUEUES_0_URL"] = url
    with Postgres("warehouse") as postgres:
        page.shell.environment |= postgres.environment
        exports = " ".join(f"{name}={value}" for name, value in postgres.environment.items())
        page.shell.run(f"export {exports}")
        page.shell.enter(page.tree)
        page.run()
        page.shell.folder = example
        steps(page, account, postgres)
    del page.shell.environment["PROTOBRIDGE_QUEUES_0_URL"]
    del page.replaced[QUEUE]


def steps(page, account, postgres):
    """Runs all parts of the example, and stops one after the other."""
    service, heartbeat, reader = page.start(), page.start(), page.start()
    again = reader.command

    def until(state):
        service.wait_until(f"the source is {state}", lambda: source(page).get("state") == state)

    until("quiet")
    page.run(numbers=True)
    insert, status = page.next("console").steps()
    page.run_step(insert)
    until("flowing")
    page.run_step(status)
    page.json(service.wait_until("acme receives the change", lambda: received(account)))
    until("quiet")
    page.run()
    reader.stop(signal.SIGINT)
    until("stale")
    status, waiting = page.next("console").steps()
    page.run_step(status)
    page.run_step(waiting, numbers=True)
    reader = page.shell.start(again, page.work / "reader.log")
    until("quiet")
    page.run()
    postgres.crash()
    until("stale")
    page.run()
    log = reader.output
    page.output(log[log.index("reader: network") :])
    postgres.start()
    until("quiet")
    page.run()
    for part in (reader, heartbeat, service):
        part.stop()


def source(page):
    """Returns what `/status` says about the source of the example, and nothing while there is no answer."""
    try:
        with urllib.request.urlopen(page.real("http://localhost:8080/status")) as answer:
            (found,) = json.load(answer)["sources"]["list"]
            return found
    except OSError:
        return {}


def received(account):
    """Returns an event of the example that acme received, or `None`. Other sections of the page leave events, too."""
    message = account.receive()
    if message and message["MessageAttributes"]["event-type"]["StringValue"] == EVENT:
        return json.loads(message["Body"])
    return None


def sections(account):
    return {"A PostgreSQL source": lambda page: follow(page, account)}
