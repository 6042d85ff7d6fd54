"""Lets two replicas start, poll, fail and restart at different moments. They must agree after one poll interval."""

import time
from contextlib import ExitStack, closing

import teams
from ground import BAR_SECONDS, CUSTOMER, PREFIX, Bucket, Ground, Replica, require
from stage import BATCH
from teams import LAST_VERSION, Team
from world import until

ROUNDS = 5
ACTIONS = 4
FAULTS = ["refuse", "unavailable", "hang"]
# Waits within a round, so that polls, changes and restarts meet in different orders.
PAUSE_SECONDS = 1.5


def run(args, server):
    ground = Ground("replicas", server, args.queues, args.work)
    ground.bucket.create()
    with ExitStack() as stack:
        pair = Pair(ground, args, stack)
        for _ in range(ROUNDS):
            pair.play()
        pair.end()


class Pair:
    """Two replicas. Each sees the bucket through a proxy of its own."""

    def __init__(self, ground, args, stack):
        self.ground, self.chance, self.done, self.times = ground, args.chance, [], []
        self.teams = [Team(name) for name in ["orders", "bills", "stock", "parts"]]
        self.wanted = {}
        for team in self.teams:
            self.upload(team)
        self.buckets, self.replicas, self.configs, self.published = [], [], [], [0, 0]
        for name in ["pod-a", "pod-b"]:
            bucket = Bucket(ground.server, ground.bucket.name)
            stack.enter_context(closing(bucket.proxy))
            self.buckets.append(bucket)
            self.configs.append(ground.configure(name, bucket))
            self.replicas.append(stack.enter_context(Replica(ground, name, args.protobridge)))
        for index in [0, 1]:
            self.start(index)
            self.pause()
        for each in self.replicas:
            each.until_ready()

    def start(self, index):
        self.replicas[index].start(self.configs[index])

    def pause(self):
        time.sleep(self.chance.random() * PAUSE_SECONDS)

    def play(self):
        """Does some random things, repairs everything, and requires that the replicas agree."""
        broken = set()
        for _ in range(ACTIONS):
            action = self.chance.choice([self.upload, self.delete, self.damage, self.fail, self.restart])
            self.done.append(action.__name__)
            if action in [self.upload, self.delete, self.damage]:
                team = self.chance.choice(self.teams)
                action(team)
                broken.discard(team)
                if action == self.damage:
                    broken.add(team)
            else:
                action(self.chance.randrange(2))
            self.pause()
        for each in self.buckets:
            each.proxy.heal()
        for team in [*broken, self.chance.choice(self.teams)]:
            self.upload(team)
        changed = time.monotonic()
        for each in self.replicas:
            each.until_ready()
        self.agree(changed)

    def upload(self, team):
        version, comment = self.chance.randint(1, LAST_VERSION), teams.comment(self.chance, 1_000)
        self.wanted[team.key] = self.ground.put(team, version, comment)

    def delete(self, team):
        self.ground.bucket.delete(f"{PREFIX}/{team.key}")
        self.wanted.pop(team.key, None)

    def damage(self, team):
        content = team.set(1, teams.comment(self.chance, 1_000))
        self.ground.bucket.put(f"{PREFIX}/{team.key}", content[: len(content) // 2])

    def fail(self, index):
        self.buckets[index].proxy.break_with(self.chance.choice(FAULTS))

    def restart(self, index):
        """Stops or kills a replica that runs, and starts it again."""
        replica = self.replicas[index]
        if replica.process.poll() is None:
            self.count(index)
            replica.kill()
        self.start(index)

    def count(self, index):
        replica = self.replicas[index]
        if replica.has_metric("protobridge_entries_published_total"):
            self.published[index] += int(replica.metric("protobridge_entries_published_total"))

    def agree(self, changed):
        """Waits until both replicas have the same sets, and requires that this is within one poll interval."""
        for each in self.replicas:
            until("the replicas agree", lambda: each.sets() == self.wanted, each.state, 60)
        took = time.monotonic() - changed
        require(took <= BAR_SECONDS, f"the replicas agree within {BAR_SECONDS} s", took, self.done)
        self.times.append(took)
        both = [each.page("/schemas") for each in self.replicas]
        require(both[0]["types"] == both[1]["types"], "the replicas have the same types", both)
        self.check_hashes()

    def check_hashes(self):
        """Requires that the events of one type have one schema-hash, whichever replica published them."""
        ground = self.ground
        ground.producer.teams = [team for team in self.teams if team.key in self.wanted]
        ground.producer.customer = CUSTOMER
        ids = ground.producer.send(4 * BATCH)
        ground.consumer.until_complete(ids, 60)
        hashes = {}
        for each in map(ground.consumer.of, ids):
            found = (each.schema_hash, len(each.json["detail"]))
            hashes.setdefault(ground.producer.by_id[each.event_id].type, set()).add(found)
        require(all(len(each) == 1 for each in hashes.values()), "a type has one schema-hash", hashes)

    def end(self):
        for index, each in enumerate(self.replicas):
            self.count(index)
            each.stop()
        require(all(self.published), "both replicas publish", self.published)
        require(self.ground.quarantined() == 0, "no event is in quarantine", self.ground.quarantined())
        actions = ", ".join(f"{self.done.count(each)} {each}" for each in sorted(set(self.done)))
        self.ground.say(
            f"after {ROUNDS} rounds of random actions ({actions}) two replicas agree within {max(self.times):.2f} s; they "
            f"published {self.published[0]} and {self.published[1]} events with the same schema hashes"
        )
