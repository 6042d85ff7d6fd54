"""Reloads sets and customers a hundred times under traffic: each event arrives exactly once, none in quarantine."""

import io
from contextlib import closing

from boto3.s3.transfer import TransferConfig

import teams
from ground import CUSTOMERS, PREFIX, Ground, Replica, require
from stage import BATCH, CUSTOMER, Repeated
from teams import LAST_VERSION, Team, hash_of
from world import until

RELOADS = 100
# The customers file changes once per so many reloads.
CUSTOMERS_EVERY = 5
PAUSE_SECONDS = 0.2
# The size of a part, and the size from which on boto3 uploads in parts, so that the ETag is not the MD5 of the set.
PART_BYTES, IN_PARTS_BYTES = 5 * 1024 * 1024, 100_000
# The lengths of the comments in the sets of the teams.
LENGTHS = {"orders": 100, "bills": 20_000, "stock": 150_000, "parts": 300_000}
# The last reloads also have a set in two parts. A build for tests takes long to read it.
LARGE, LARGE_BYTES, LARGE_RELOADS = "large", PART_BYTES + 100_000, 5


def run(args, server):
    ground = Ground("reloads", server, args.queues, args.work)
    with closing(ground.bucket.create().proxy), Replica(ground, "pod-a", args.protobridge) as replica:
        traffic = Traffic(ground, replica, args.chance)
        traffic.start()
        with Repeated(traffic.send, PAUSE_SECONDS), Repeated(ground.consumer.receive):
            for number in range(1, RELOADS + 1):
                traffic.reload(number)
        traffic.check()
        replica.stop()


class Traffic:
    """Events of all teams, and their sets."""

    def __init__(self, ground, replica, chance):
        self.ground, self.replica, self.chance = ground, replica, chance
        self.teams, self.large = [Team(name) for name in LENGTHS], Team(LARGE)
        # The hash of each set, by its name.
        self.wanted, self.objects, self.customers, self.files, self.odd_etags = {}, 0, 1, 0, 0
        ground.producer.teams = self.teams

    def start(self):
        for team in self.teams:
            self.upload(team)
        self.change_customers()
        descriptors = {"poll_seconds": 1}
        customers = f"{self.ground.bucket.url}/{CUSTOMERS}"
        self.replica.start(self.ground.configure(descriptors=descriptors, customers=customers))
        self.replica.until_ready()
        self.replica.until_sets(self.wanted)
        self.objects = self.files = 0

    def send(self):
        self.ground.producer.send(BATCH)

    def upload(self, team):
        """Uploads a random version of a team's set, and a large one in parts."""
        length = LENGTHS.get(team.name, LARGE_BYTES)
        content = team.set(self.chance.randint(1, LAST_VERSION), teams.comment(self.chance, length))
        name = f"{PREFIX}/{team.key}"
        config = TransferConfig(multipart_threshold=IN_PARTS_BYTES, multipart_chunksize=PART_BYTES)
        self.ground.bucket.s3.upload_fileobj(io.BytesIO(content), self.ground.bucket.name, name, Config=config)
        self.objects += 1
        # The ETag of an object that was uploaded in parts says how many.
        self.odd_etags += "-" in self.ground.bucket.etag(name)
        self.wanted[team.key] = hash_of(content)

    def change_customers(self):
        """Adds a customer, or removes the one that was added last."""
        self.customers += self.chance.choice([-1, 1] if self.customers > 1 else [1])
        ids = [CUSTOMER, *(f"customer-{number}" for number in range(self.customers - 1))]
        self.ground.put_customers(ids)
        self.files += 1

    def reload(self, number):
        """Uploads some sets, and sometimes a customers file, and waits until all are in force."""
        for team in self.chance.sample(self.teams, self.chance.choice([1, 1, 2, 3])):
            self.upload(team)
        if number > RELOADS - LARGE_RELOADS:
            self.upload(self.large)
        if number % CUSTOMERS_EVERY == 1:
            self.change_customers()
        self.replica.until_sets(self.wanted)
        until("the customers are in force", self.has_customers, self.ground.logs)

    def has_customers(self):
        return self.replica.page("/status")["customers"]["enabled"] == self.customers

    def check(self):
        producer, consumer = self.ground.producer, self.ground.consumer
        consumer.until_complete(producer.by_id, 60)
        until("the queue is empty", lambda: self.ground.left() == 0, self.ground.logs)
        # Whatever was published is in the inbox now.
        while consumer.receive():
            pass
        twice = [each for each in consumer.arrived.values() if len(each) > 1]
        require(not twice, "no event arrives twice", len(twice), *twice[:3])
        require(len(consumer.arrived) == len(producer.sent), "each event arrives", len(consumer.arrived))
        quarantined = self.ground.quarantined()
        require(quarantined == 0, "no event is in quarantine", quarantined)
        versions = self.versions()
        # A poll between two uploads of one reload makes two.
        reloads = int(self.replica.metric("protobridge_reloads_total", what="descriptors", result="admitted"))
        require(reloads >= RELOADS, "every reload is counted", reloads)
        self.ground.say(
            f"{RELOADS} reloads in {reloads} admissions, of {self.objects} objects ({self.odd_etags} with the ETag of an "
            f"upload in parts) and {self.files} customers files, under {len(producer.sent)} events: "
            f"{len(consumer.arrived)} arrived once, 0 twice, 0 are lost, 0 in quarantine; events of a type arrived in "
            f"{min(versions)} to {max(versions)} versions, each whole"
        )

    def versions(self):
        """Requires that each event is the JSON of one version, and returns the number of versions of each type."""
        hashes = {}
        for deliveries in self.ground.consumer.arrived.values():
            each, event = deliveries[0], self.ground.producer.by_id[deliveries[0].event_id]
            version = len(each.json["detail"])
            require(each.json == event.json(version), "an event is the JSON of one version", each.json)
            hashes.setdefault((event.type, version), set()).add(each.schema_hash)
        many = {key: found for key, found in hashes.items() if len(found) > 1}
        require(not many, "the events of one version have one schema-hash", many)
        types = [event_type for event_type, _ in hashes]
        return [types.count(team.type) for team in self.teams]
