"""Changes and damages objects at the worst moments: between two calls of a poll, in the middle of an upload, and when
all of them are deleted."""

import gzip
import hashlib
import time
from contextlib import closing

from ground import BAR_SECONDS, POLL_SECONDS, PREFIX, Ground, Replica, flow, is_listing, key_of, require
from teams import Team, comment, hash_of
from world import until

# The unchanged polls whose calls are counted.
POLLS = 3
GRACE_SECONDS = 3


class Once:
    """Acts at the first listing that has this version of a set, before the service gets the listing."""

    def __init__(self, bucket, content, act):
        self.bucket, self.act, self.etag = bucket, act, hashlib.md5(content).hexdigest()
        bucket.calls.clear()
        bucket.watch = self.watch

    def watch(self, call):
        if is_listing(call) and self.etag.encode() in call.answer:
            self.bucket.watch = lambda _: None
            self.act()


def gets(bucket):
    return [call for call in bucket.calls if call.method == "GET" and not is_listing(call)]


def listings(bucket):
    return [call for call in bucket.calls if is_listing(call)]


def until_listings(ground, count):
    """Waits for more listings of the service."""
    wanted = len(listings(ground.bucket)) + count
    until(f"{count} polls", lambda: len(listings(ground.bucket)) >= wanted, ground.logs)


def between(args, server):
    """Replaces, and deletes, an object between LIST and GET, and counts the calls of polls without a change."""
    ground = Ground("between", server, args.queues, args.work)
    with closing(ground.bucket.create().proxy), Replica(ground, "pod-a", args.protobridge) as replica:
        team, other = Team("orders"), Team("bills")
        wanted = {each.key: ground.put(each, 1) for each in [team, other]}
        replica.start(ground.configure())
        replica.until_ready()
        replica.until_sets(wanted)
        seen = replace(ground, replica, team, other, wanted)
        remove(ground, replica, team, other, wanted)
        polls = unchanged(ground)
        replica.stop()
        single(args, ground, team)
    ground.say(
        f"an object that was replaced between LIST and GET answers 412 to If-Match {seen}, and the next poll has the newer "
        f"version; one that was deleted is gone; {polls} unchanged polls make one LIST each and no GET; a single key "
        "polls with If-None-Match and 304"
    )


def replace(ground, replica, team, other, wanted):
    bucket, name = ground.bucket, f"{PREFIX}/{team.key}"
    # The second version is listed, and the third one is there when the service gets the object.
    newer = []
    once = Once(bucket, team.set(2), lambda: newer.append(ground.put(team, 3)))
    second, etag = ground.put(team, 2), f'"{once.etag}"'
    until("the object is replaced after a listing", lambda: newer, ground.logs)
    wanted |= {team.key: newer[0]}
    replica.until_sets(wanted)
    refused, *others = [call for call in gets(bucket) if key_of(call) == name]
    require(refused.status == 412, "the first GET finds another object", refused.status, refused.headers)
    require(refused.headers.get("if-match") == etag, "the GET names the ETag of the listing", refused.headers, etag)
    require([call.status for call in others] == [200], "the next poll gets the object", others)
    names = [key_of(call) for call in gets(bucket)]
    require(names == [name] * 2, "only the changed object is read", names)
    trail = [each.get("hash") for each in replica.page("/schemas")["admissions"]]
    require(second not in trail and newer[0] in trail, "only the newer version was admitted", trail)
    require(not replica.refused(), "nothing is refused", replica.refused())
    flow(ground, team, 3)
    flow(ground, other, 1)
    return etag


def remove(ground, replica, team, other, wanted):
    bucket, name = ground.bucket, f"{PREFIX}/{team.key}"
    Once(bucket, team.set(2), lambda: bucket.delete(name))
    ground.put(team, 2)
    wanted.pop(team.key)
    replica.until_sets(wanted)
    statuses = [call.status for call in gets(bucket) if key_of(call) == name]
    require(statuses == [404], "the object is not there when the service gets it", statuses)
    flow(ground, other, 1)


def unchanged(ground):
    """Counts the calls of polls in which nothing has changed, and returns the number of polls."""
    until_listings(ground, 1)
    ground.bucket.calls.clear()
    began = time.monotonic()
    until_listings(ground, POLLS)
    polls = len(listings(ground.bucket))
    calls = [(call.method, call.path) for call in ground.bucket.calls]
    require(len(calls) == polls == POLLS, "an unchanged poll is one LIST and no GET", calls)
    took = (time.monotonic() - began) / polls
    require(took <= POLL_SECONDS + 1, "polls come once per interval", took)
    return polls


def single(args, ground, team):
    """Polls one object, without LIST."""
    bucket, name = ground.bucket, f"{PREFIX}/{team.key}"
    with Replica(ground, "pod-b", args.protobridge) as replica:
        ground.put(team, 1)
        bucket.calls.clear()
        replica.start(ground.configure("pod-b", descriptors={"path": f"{bucket.url}/{name}"}))
        replica.until_ready()
        flow(ground, team, 1)
        etag = bucket.etag(name)
        until("unchanged polls", lambda: statuses(bucket).count(304) >= POLLS, ground.logs)
        require(set(statuses(bucket)[1:]) == {304}, "the object is read once", statuses(bucket))
        asked = {call.headers.get("if-none-match") for call in gets(bucket)[1:]}
        require(asked == {etag}, "each poll of a single key names its ETag", asked, etag)
        content = team.set(4)
        bucket.put(name, content)
        until("the new version is in force", lambda: is_in_force(replica, content), ground.logs, BAR_SECONDS)
        flow(ground, team, 4)
        others = [call.path for call in bucket.calls if is_listing(call) or key_of(call) != name]
        require(not others, "nothing but the object is read", others)
        replica.stop()


def statuses(bucket):
    return [call.status for call in gets(bucket)]


def is_in_force(replica, content):
    return hash_of(content) in {each["hash"] for each in replica.page("/schemas")["sets"]}


def half(args, server):
    """Uploads halves: of a set, of a gzip, and of an upload in parts."""
    ground = Ground("half", server, args.queues, args.work)
    with closing(ground.bucket.create().proxy), Replica(ground, "pod-a", args.protobridge) as replica:
        orders, bills, stock, other = [Team(name) for name in ["orders", "bills", "stock", "other"]]
        bills.key += ".gz"
        contents = {team: team.set(1) for team in [orders, stock, other]} | {bills: gzip.compress(bills.set(1))}
        for team, content in contents.items():
            ground.bucket.put(f"{PREFIX}/{team.key}", content)
        wanted = {team.key: hash_of(content) for team, content in contents.items()}
        replica.start(ground.configure())
        replica.until_ready()
        replica.until_sets(wanted)
        parts = start_parts(ground, stock)
        whole = {orders: orders.set(2), bills: gzip.compress(bills.set(2, comment(args.chance, 4_000)))}
        for team, content in whole.items():
            ground.bucket.put(f"{PREFIX}/{team.key}", content[: len(content) // 2])
        wanted[other.key] = ground.put(other, 2)
        until("both halves are refused", lambda: set(replica.refused()) == {orders.key, bills.key}, replica.state)
        replica.until_sets(wanted)
        reasons = [replica.refused()[team.key]["reason"] for team in whole]
        require(all(team.key in reason for team, reason in zip(whole, reasons)), "each is refused by name", reasons)
        # A change of another set changes nothing about them.
        wanted[other.key] = ground.put(other, 3)
        replica.until_sets(wanted)
        require(set(replica.refused()) == {orders.key, bills.key}, "both halves stay refused", replica.refused())
        for team, version in [(orders, 1), (bills, 1), (stock, 1), (other, 3)]:
            flow(ground, team, version)
        for team, content in whole.items():
            ground.bucket.put(f"{PREFIX}/{team.key}", content)
            wanted[team.key] = hash_of(content)
        wanted[stock.key] = parts()
        took = replica.until_sets(wanted)
        require(took <= BAR_SECONDS, f"the repaired sets are live within {BAR_SECONDS} s", took)
        require(not replica.refused(), "nothing is refused", replica.refused())
        for team in [orders, bills, stock]:
            flow(ground, team, 2)
        require(ground.quarantined() == 0, "no event is in quarantine")
        replica.stop()
    ground.say(
        f"half a set and half a gzip are refused by name, an unfinished upload in parts is no object, and the versions in "
        f"force stay; whole again, all three are live {took:.2f} s later"
    )


def start_parts(ground, team):
    """Starts an upload in parts of the second version. Returns a function that completes it and returns its hash."""
    s3, content = ground.bucket.s3, team.set(2)
    place = {"Bucket": ground.bucket.name, "Key": f"{PREFIX}/{team.key}"}
    place["UploadId"] = s3.create_multipart_upload(**place)["UploadId"]
    # The last part, here the only one, can be small.
    part = {"PartNumber": 1, "ETag": s3.upload_part(**place, PartNumber=1, Body=content)["ETag"]}

    def complete():
        s3.complete_multipart_upload(**place, MultipartUpload={"Parts": [part]})
        return hash_of(content)

    return complete


def deleted(args, server):
    """Deletes one object, then all of them."""
    ground = Ground("deleted", server, args.queues, args.work)
    with closing(ground.bucket.create().proxy), Replica(ground, "pod-a", args.protobridge) as replica:
        kept = [Team("bills"), Team("stock")]
        gone = Team("orders")
        wanted = {each.key: ground.put(each, 1) for each in [gone, *kept]}
        replica.start(ground.configure(retry={"unknown_type_grace_seconds": GRACE_SECONDS}))
        replica.until_ready()
        flow(ground, gone, 1)
        ground.bucket.delete(f"{PREFIX}/{gone.key}")
        wanted.pop(gone.key)
        took = replica.until_sets(wanted)
        require(took <= BAR_SECONDS, f"a removal is live within {BAR_SECONDS} s", took)
        ground.producer.send_of(gone, 1)
        until("the event is in quarantine", lambda: ground.quarantined() == 1, ground.logs)
        reason = replica.metric("protobridge_messages_quarantined_total", reason="unknown_type")
        require(reason == 1, "an event of a removed type is quarantined as unknown_type", reason)
        Emptied(ground, replica, kept, wanted).run()
        replica.stop()
    ground.say(
        "a deleted object removes its type; an empty listing changes nothing, also if the sets are back before the next "
        "one; the second empty listing in a row removes the types, and an upload restores them"
    )


class Emptied:
    """A prefix without any object."""

    def __init__(self, ground, replica, teams, wanted):
        self.ground, self.replica, self.teams, self.wanted = ground, replica, teams, wanted
        # The number of empty listings, and the sets in force when the service was about to get each of them.
        self.in_force = []

    def run(self):
        since = self.since()
        self.empty(restore_after=1)
        until_listings(self.ground, 2)
        require(self.since() == since, "one empty listing changes nothing", since, self.since())
        self.empty(restore_after=None)
        self.replica.until_sets({})
        require(len(self.in_force) >= 2, "the first empty listing changes nothing", self.in_force)
        require(self.in_force[1] == self.wanted, "the first empty listing changes nothing", self.in_force)
        self.restore()
        took = self.replica.until_sets(self.wanted)
        require(took <= BAR_SECONDS, f"restored sets are live within {BAR_SECONDS} s", took)
        for team in self.teams:
            flow(self.ground, team, 1)
        require(self.ground.quarantined() == 1, "no other event is in quarantine")

    def since(self):
        return {each["name"]: each["in_force_since"] for each in self.replica.page("/schemas")["sets"]}

    def restore(self):
        for team in self.teams:
            self.ground.put(team, 1)

    def empty(self, restore_after):
        """Deletes all objects. Restores them after this number of empty listings."""
        bucket = self.ground.bucket
        self.in_force = []

        def watch(call):
            if is_listing(call) and b"<Key>" not in call.answer:
                self.in_force.append(self.replica.sets())
                if len(self.in_force) == restore_after:
                    self.restore()

        bucket.watch = watch
        # One call, so that no listing has a part of them.
        keys = [{"Key": f"{PREFIX}/{team.key}"} for team in self.teams]
        bucket.s3.delete_objects(Bucket=bucket.name, Delete={"Objects": keys})
        if restore_after:
            until("the listing is empty", lambda: self.in_force, self.ground.logs)
