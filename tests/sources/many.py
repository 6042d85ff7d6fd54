"""Puts 10,000 objects under the prefix."""

import http.client
import threading
import time
import urllib.parse
from contextlib import closing

from ground import BAR_SECONDS, PREFIX, REGION, Ground, Replica, flow, require
from moments import gets, listings, until_listings
from teams import Team, hash_of

OBJECTS, SETS, PAGE = 10_000, 300, 1_000
POLLS = 3
# The connections that store the objects.
WRITERS = 4
# S3 servers take the region from the name of the credentials.
SIGNED = f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/s3/aws4_request, SignedHeaders=host, Signature=0"


def run(args, server):
    ground = Ground("many", server, args.queues, args.work)
    teams = [Team(f"team{number}") for number in range(SETS)]
    wanted, contents = {}, {}
    for team in teams:
        contents[team.key] = team.set(1)
        wanted[team.key] = hash_of(contents[team.key])
    contents |= {f"notes/{number}.txt": b"no set" for number in range(OBJECTS - SETS)}
    with closing(ground.bucket.create().proxy), Replica(ground, "pod-a", args.protobridge) as replica:
        store(ground, contents)
        began = time.monotonic()
        replica.start(ground.configure())
        replica.until_ready()
        ready = time.monotonic() - began
        replica.until_sets(wanted)
        pages = OBJECTS // PAGE
        calls = {key: len(found(ground.bucket)) for key, found in {"LIST": listings, "GET": gets}.items()}
        require(calls["GET"] == SETS and calls["LIST"] >= pages, "the start reads each set once", calls)
        poll_seconds = poll(ground, pages)
        took = change(ground, replica, teams[SETS // 2], wanted, poll_seconds)
        flow(ground, teams[SETS // 2], 2)
        flow(ground, teams[-1], 1)
        replica.stop()
    ground.say(
        f"{OBJECTS} objects, {SETS} of them sets: ready after {ready:.1f} s with {calls['GET']} GETs; a poll is {pages} "
        f"LISTs in {poll_seconds:.2f} s and no GET; a change costs one GET and is live {took:.2f} s after the upload"
    )


def store(ground, contents):
    """Stores the objects, with plain HTTP because boto3 takes longer."""
    items = list(contents.items())
    writers = [threading.Thread(target=write, args=[ground, items[first::WRITERS]]) for first in range(WRITERS)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    pages = ground.bucket.s3.get_paginator("list_objects_v2").paginate(Bucket=ground.bucket.name)
    stored = sum(page["KeyCount"] for page in pages)
    require(stored == len(contents), "all objects are stored", stored)


def write(ground, items):
    host = urllib.parse.urlsplit(ground.server.url).netloc
    with closing(http.client.HTTPConnection(host, timeout=60)) as connection:
        for key, content in items:
            path = f"/{ground.bucket.name}/{PREFIX}/{key}"
            connection.request("PUT", path, content, {"authorization": SIGNED})
            connection.getresponse().read()


def poll(ground, pages):
    """Requires that each poll lists each page once and reads nothing. Returns the time of a poll."""
    until_listings(ground, pages)
    ground.bucket.calls.clear()
    until_listings(ground, (POLLS + 1) * pages)
    calls = listings(ground.bucket)
    require(not gets(ground.bucket), "a poll without a change reads nothing")
    # A poll begins with a listing without a continuation token.
    begins = [n for n, call in enumerate(calls) if "continuation-token" not in call.path]
    lengths = {after - before for before, after in zip(begins, begins[1:])}
    require(len(begins) >= POLLS and lengths == {pages}, f"a poll lists {pages} pages", lengths)
    times = [calls[first + pages - 1].at - calls[first].at for first in begins[:-1]]
    return max(times) * pages / (pages - 1)


def change(ground, replica, team, wanted, poll_seconds):
    ground.bucket.calls.clear()
    wanted[team.key] = ground.put(team, 2)
    took = replica.until_sets(wanted)
    # An emulator takes long to list so many objects, and the listing can be under way when the object changes.
    bar = BAR_SECONDS + 2 * poll_seconds
    require(took <= bar, f"a change among many objects is live within {bar} s", took)
    read = [call.path for call in gets(ground.bucket)]
    require(len(read) == 1 and team.key in read[0], "a change of one object costs one GET", read)
    return took
