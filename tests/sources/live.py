"""Measures how soon an upload is live: new types, by the AWS CLI and by boto3, and new customers."""

import os
import statistics
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from ground import BAR_SECONDS, CUSTOMERS, PREFIX, Ground, Replica, flow, require
from stage import CUSTOMER
from teams import Team
from world import until

UPLOADS = 6
# The events that wait for each upload.
WAITING = 3


def types(args, server):
    """Sends events of types that no set defines, uploads the sets, and measures when the events arrive."""
    ground = Ground("live", server, args.queues, args.work)
    base = Team("base")
    with closing(ground.bucket.create().proxy), Replica(ground, "pod-a", args.protobridge) as replica:
        ground.bucket.keep_versions()
        ground.put(base, 1)
        replica.start(ground.configure())
        replica.until_ready()
        flow(ground, base, 1)
        times = [upload(ground, replica, args.chance, number) for number in range(UPLOADS)]
        require(ground.quarantined() == 0, "no event is in quarantine")
        check_versions(ground, replica)
        replica.stop()
    ground.say(
        f"{UPLOADS} new types, one of them by `aws s3 cp`, are live {figures(times)} after the upload; {WAITING} events "
        f"of each type waited for it (poll interval + 2 s is {BAR_SECONDS} s)"
    )


def upload(ground, replica, chance, number):
    """Uploads a new set and returns the time until the first event of its type arrives."""
    team = Team(f"live{number}")
    path = ground.work / f"{team.name}.binpb"
    path.write_bytes(team.set(1))
    before = retried(replica)
    ids = ground.producer.send_of(team, WAITING)
    until("the events wait", lambda: retried(replica) >= before + WAITING, ground.logs)
    # The upload is at a random moment between two polls.
    time.sleep(chance.random() * BAR_SECONDS / 2)
    to = f"{PREFIX}/{team.key}"
    if number == 0:
        copy(path, f"{ground.bucket.url}/{to}", ground.server.url)
    else:
        ground.bucket.s3.upload_file(str(path), ground.bucket.name, to)
    uploaded = time.time()
    ground.consumer.until_complete(ids, 30)
    deliveries = [ground.consumer.of(each) for each in ids]
    for each in deliveries:
        wanted = ground.producer.by_id[each.event_id].json(1)
        require(each.json == wanted, "the events that waited arrive as JSON", each.json, wanted)
    took = min(each.at for each in deliveries) - uploaded
    require(took <= BAR_SECONDS, f"a new type is live within {BAR_SECONDS} s", took, ground.logs())
    return took


def retried(replica):
    return replica.metric("protobridge_messages_settled_total", outcome="retried")


def copy(path, url, endpoint):
    """Uploads a file as a schema owner does."""
    command = [sys.executable, Path(sys.executable).with_name("aws"), "s3", "cp", path, url, "--endpoint-url", endpoint]
    environment = os.environ | {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment, timeout=120)
    require(done.returncode == 0, "`aws s3 cp` uploads a set", done.stdout, done.stderr)


def figures(times):
    return f"p50 {statistics.median(times):.2f} s, max {max(times):.2f} s"


def check_versions(ground, replica):
    """Requires that /schemas has the ETag and the version of each object."""
    for each in replica.page("/schemas")["sets"]:
        head = ground.bucket.head(f"{PREFIX}/{each['name']}")
        right = (head["ETag"].strip('"'), head["VersionId"])
        found = (each["etag"].strip('"'), each["version_id"])
        require(found == right, "/schemas names the version of each object", each, right)


class Customers:
    """The customers file in the bucket."""

    def __init__(self, ground, replica):
        self.ground, self.replica = ground, replica
        self.ids = [CUSTOMER, *(f"customer-{number}" for number in range(9))]

    def count(self):
        return self.replica.page("/status")["customers"]["enabled"]

    def add(self, chance):
        """Adds a customer and returns the time until it is live."""
        time.sleep(chance.random() * BAR_SECONDS / 2)
        self.ids.append(f"customer-{len(self.ids) - 1}")
        self.ground.put_customers(self.ids)
        uploaded = time.monotonic()
        until("the new customer is live", lambda: self.count() == len(self.ids), self.ground.logs)
        took = time.monotonic() - uploaded
        require(took <= BAR_SECONDS, f"a new customer is live within {BAR_SECONDS} s", took)
        return took

    def is_in_force(self):
        return self.replica.metric("protobridge_last_reload_successful", what="customers") == 1

    def until_kept(self, what, team):
        """Waits until the file is refused or missing, and requires that the customers stay in force."""
        until(f"{what} is noticed", lambda: not self.is_in_force(), self.ground.logs)
        require(self.count() == len(self.ids), f"the customers stay in force: {what}", self.count())
        flow(self.ground, team, 1)

    def until_repaired(self):
        self.ground.put_customers(self.ids)
        until("the repaired file is in force", self.is_in_force, self.ground.logs)


def customers(args, server):
    ground = Ground("customers", server, args.queues, args.work)
    team = Team("base")
    with closing(ground.bucket.create().proxy), Replica(ground, "pod-a", args.protobridge) as replica:
        file = Customers(ground, replica)
        ground.put(team, 1)
        ground.put_customers(file.ids)
        replica.start(ground.configure(customers=f"{ground.bucket.url}/{CUSTOMERS}"))
        replica.until_ready()
        flow(ground, team, 1)
        times = [file.add(args.chance) for _ in range(3)]
        added = ground.producer.send_of(team, 1, file.ids[-1])
        ground.consumer.until_complete(added, 30)
        ground.bucket.put(CUSTOMERS, b"customers: [{id: acme, topic")
        file.until_kept("half a file", team)
        file.until_repaired()
        ground.put_customers(file.ids[:2])
        file.until_kept("a file without most customers", team)
        file.until_repaired()
        ground.bucket.delete(CUSTOMERS)
        file.until_kept("a deleted file", team)
        file.until_repaired()
        require(ground.quarantined() == 0, "no event is in quarantine")
        replica.stop()
    ground.say(
        f"{len(times)} new customers are live {figures(times)} after the upload; half a file, a file without most "
        "customers and a deleted file keep those in force"
    )
