"""Runs examples/postgresql with a real PostgreSQL, stops one part after the other, and checks the state of the source.

    check.py --protobridge FILE --work FOLDER

A heartbeat is written every half second, and is due after one second, so that a busy machine makes no difference.
`/status` is read all the time, so that no state is missed. Exits with an error at the first check that fails.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))

from parts import Consumer, Database, Observer, Part, Writer  # noqa: E402
from slow import Proxy  # noqa: E402
from world import AWS, REGION, Stage, free_port, isolate, ministack, until  # noqa: E402

EXAMPLE = ROOT / "examples/postgresql"
SOURCE = "warehouse-1"
# The seconds between two heartbeats, the interval in the configuration, and the time after which the source is stale.
PAUSE, INTERVAL, STALE_AFTER = 0.5, 1, 3
# The rows that one transaction adds. The reader sends them within the interval, and the service takes longer.
BULK = 200

parser = argparse.ArgumentParser()
parser.add_argument("--protobridge", type=Path, required=True)
parser.add_argument("--work", type=Path, required=True)
args = parser.parse_args()


def say(text):
    print(f"postgresql: {text}", flush=True)


def logs():
    """Returns the last lines of each log."""
    lines = {file.name: file.read_text(errors="replace").splitlines() for file in sorted(args.work.glob("*.log"))}
    return "\n".join(line for name, own in lines.items() for line in [f"--- {name}", *own[-15:]])


def check(condition, what, *details):
    """Prints what was checked. If the condition is false, exits with an error."""
    if not condition:
        sys.exit("\n".join([f"postgresql: FAILED: {what}", *map(str, details), logs()]))
    say(what)


def configure(stage, endpoint, admin):
    """Writes the configuration of the example with the addresses of this test, and a shorter interval."""
    config = yaml.safe_load((EXAMPLE / "protobridge.yaml").read_text())
    config["aws"] = {"region": REGION, "endpoint_url": endpoint}
    config["queues"] = [{"name": "events", "url": stage.source, "quarantine_url": stage.quarantine}]
    config["descriptors"]["path"] = str(EXAMPLE / "descriptors")
    config["route"] |= {"topic_template": None, "customers_file": "customers.yaml"}
    config["heartbeats"]["types"][0]["interval_seconds"] = INTERVAL
    config |= {"admin": {"listen": admin}, "receive": {"wait_seconds": 1, "max_in_flight_messages": 20}}
    config["publish"] = {"max_concurrent_calls": 1, "max_concurrent_calls_per_topic": 1}
    (args.work / "protobridge.yaml").write_text(yaml.safe_dump(config))
    customers = {"customers": [{"id": "acme", "topic": stage.topics["acme"]}]}
    (args.work / "customers.yaml").write_text(yaml.safe_dump(customers))
    return args.work / "protobridge.yaml"


class World:
    """All parts of the example, and those who use it."""

    def __init__(self, stack):
        def enter(part):
            return stack.enter_context(part)

        def log(name):
            return args.work / f"{name}.log"

        self.postgres = enter(Database("warehouse"))
        subprocess.run(
            ["psql", "--no-psqlrc", "--quiet", "--file", EXAMPLE / "schema.sql"],
            check=True, env=os.environ | self.postgres.environment,
        )
        self.stage = Stage(enter(ministack(args.work)), logs)
        admin = f"127.0.0.1:{free_port()}"
        self.proxy = Proxy(self.stage.endpoint_url)
        config = configure(self.stage, self.proxy.url, admin)
        environment = AWS | self.postgres.environment | {"PYTHONUNBUFFERED": "1"}
        self.service = enter(Part(log("service"), [args.protobridge, "run", "--config", config], environment))
        sqs = {"AWS_ENDPOINT_URL": self.stage.endpoint_url, "AWS_DEFAULT_REGION": REGION}
        reader = environment | sqs | {"QUEUE_URL": self.stage.source}
        self.reader = enter(Part(log("reader"), [sys.executable, "-B", EXAMPLE / "reader.py"], reader))
        beat = environment | {"SOURCE": SOURCE, "INTERVAL": str(PAUSE)}
        self.heartbeat = enter(Part(log("heartbeat"), [EXAMPLE / "heartbeat.sh"], beat))
        self.writer = enter(Writer(self.postgres))
        self.observer = enter(Observer(admin, SOURCE, logs))
        self.consumer = enter(Consumer(self.stage))


def check_writer(world):
    """Stops the application. The heartbeats go on."""
    world.observer.begin()
    world.writer.stop()
    world.observer.until("quiet")
    world.writer.go_on()
    world.observer.until("flowing")
    states = world.observer.states()
    check("stale" not in states, "without the writer the source is quiet, then flowing again", states)


def check_stop(world, name, stop, start):
    """Stops a part of the path of the heartbeats, and starts it again."""
    world.observer.begin()
    stop()
    world.observer.until("stale")
    age = world.observer.last("age_seconds")
    start()
    world.observer.until("flowing")
    states = world.observer.states()
    check(states[0] == states[-1] == "flowing", f"without {name} the source is stale, then flowing again", states)
    say(f"  the last heartbeat was {age} s old")
    check_complete(world)


def check_complete(world):
    """Checks that every heartbeat so far arrived once those that are written meanwhile have arrived."""
    # A number that is missing becomes a gap when the source would be stale.
    number = world.postgres.heartbeats() + STALE_AFTER / PAUSE + 1
    until("later heartbeats arrive", lambda: (world.observer.last("sequence") or 0) >= number, logs)
    found = [world.observer.last(key) for key in ("gaps", "restarts")]
    check(found == [0, 0], "  no heartbeat is missing", world.observer.reports[-1])


def check_paused(world):
    """Pauses the service until the source would be stale, if its heartbeats were not in the queue."""
    world.observer.begin()
    world.service.process.send_signal(signal.SIGSTOP)
    number = world.postgres.heartbeats() + STALE_AFTER / PAUSE + 1
    add_stock(world)
    until("heartbeats wait", lambda: world.postgres.heartbeats() >= number, logs)
    until("the reader sends all", lambda: world.postgres.ask("SELECT count(*) FROM outbox") < 10, logs)
    left = world.stage.messages_left()
    world.service.process.send_signal(signal.SIGCONT)
    check_late(world, f"while {left} messages wait, the source is late, and never stale")


def check_slow(world):
    """Adds more changes at once than the service can publish, until a heartbeat waited for as long as a dead source."""
    world.observer.begin()
    world.proxy.is_slow = True
    add_stock(world)
    waited = "a heartbeat waited in the queue for as long as that of a dead source"
    until(waited, lambda: (world.observer.last("in_queue_seconds") or 0) > STALE_AFTER, logs)
    left = world.stage.messages_left()
    world.proxy.is_slow = False
    check_late(world, f"while {left} messages wait for a slow topic, the source is late, and never stale")


def check_late(world, what):
    world.observer.until("late")
    until("the backlog is gone", lambda: world.stage.messages_left() < 10, logs)
    world.observer.until("flowing")
    reports = world.observer.reports
    check(not any(report["state"] == "stale" for report in reports), what, world.observer.states())
    say(f"  {sum(report['state'] == 'late' for report in reports)} of {len(reports)} samples are late")
    check_complete(world)


def add_stock(world):
    with world.postgres.connect() as database:
        database.run(
            "INSERT INTO stock SELECT 'acme', 'nail-' || gen_random_uuid(), n FROM generate_series(1, :count) n",
            count=BULK,
        )


def check_repeats(world):
    """Lets every delete of the reader fail after SQS confirmed the messages, so that it sends them again and again."""
    with world.postgres.connect() as database:
        database.run("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'refused'; END$$")
        database.run("CREATE TRIGGER refuse BEFORE DELETE ON outbox EXECUTE FUNCTION refuse()")
    before = world.reader.log.read_text().count("refused")
    until("the reader repeats", lambda: world.reader.log.read_text().count("refused") >= before + 3, logs)
    world.reader.kill()
    world.postgres.ask("DROP TRIGGER refuse ON outbox")
    world.reader.start()
    world.observer.until("flowing")
    say("the reader sent changes and heartbeats again, because it could not delete them")
    check_complete(world)


def check_too_large(world):
    """Adds a change that is larger than SQS accepts."""
    content = "jsonb_build_object('tenant_id', 'acme', 'sku', repeat('x', 900000), 'quantity', 1)"
    world.postgres.ask(f"INSERT INTO outbox (table_name, operation, content) VALUES ('stock', 'INSERT', {content})")
    until("SQS refuses the change", lambda: "SQS refused rows" in world.reader.log.read_text(), logs)
    number = world.postgres.heartbeats() + 2
    until("later heartbeats arrive", lambda: world.observer.last("sequence") >= number, logs)
    is_large = "FROM outbox WHERE length(content::text) > 900000"
    left = world.postgres.ask(f"SELECT count(*) {is_large}")
    check(left == 1, "a change that SQS refuses stays, and does not delay the others", left)
    world.postgres.ask(f"DELETE {is_large}")


def check_loss(world):
    """Removes one heartbeat from the outbox that the reader did not send."""
    world.reader.kill()
    # The reader can have sent the heartbeats until now without deleting them.
    number = world.postgres.heartbeats() + 1
    until("the next heartbeat is written", lambda: world.postgres.heartbeats() >= number, logs)
    world.postgres.ask(f"DELETE FROM outbox WHERE table_name = 'heartbeat' AND content->>'number' = '{number}'")
    world.reader.start()
    until("the gap is noticed", lambda: world.observer.last("gaps"), logs)
    check(world.observer.last("gaps") == 1, "a heartbeat that is lost is one gap", world.observer.reports[-1])


def check_deliveries(world):
    """Stops the application, and compares the events of the customer with the changes of the database."""
    world.writer.stop()
    waiting = "SELECT count(*) FROM outbox WHERE table_name = 'stock'"
    until("the outbox has no stock", lambda: world.postgres.ask(waiting) == 0, logs)
    hammers = world.postgres.ask("SELECT quantity FROM stock WHERE sku = 'hammer'")
    changes = hammers + world.postgres.ask("SELECT count(*) FROM stock WHERE sku <> 'hammer'")
    until("every change arrives", lambda: len(world.consumer.events) >= changes, logs)
    until("no message is left", lambda: world.stage.messages_left() == 0, logs)
    events = world.consumer.events.values()
    quantities = sorted(int(event["stock"]["quantity"]) for event in events if event["stock"]["sku"] == "hammer")
    is_same = quantities == list(range(1, hammers + 1)) and len(events) == changes and not world.consumer.repeated
    check(is_same, f"each of {changes} changes arrives once", len(events), world.consumer.repeated[:5])
    quarantined = world.stage.sqs.receive_message(QueueUrl=world.stage.quarantine).get("Messages", [])
    check(not quarantined, "nothing is in quarantine", quarantined)


def main():
    began = time.monotonic()
    with ExitStack() as stack:
        world = World(stack)
        world.observer.until("flowing")
        say("changes and heartbeats of PostgreSQL arrive: the source is flowing")
        check_complete(world)
        check_writer(world)
        check_stop(world, "the reader", world.reader.kill, world.reader.start)
        check_stop(world, "PostgreSQL", world.postgres.crash, world.postgres.start)
        check_paused(world)
        check_slow(world)
        check_repeats(world)
        check_too_large(world)
        check_loss(world)
        check_deliveries(world)
    say(f"done in {time.monotonic() - began:.0f} s")


isolate()
os.environ |= {"NO_PROXY": "*", "no_proxy": "*"}
shutil.rmtree(args.work, ignore_errors=True)
args.work.mkdir(parents=True)
main()
