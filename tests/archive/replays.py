"""Kills a replay: continued each time, it sends every archived message, repeats at most a step, and keeps the order."""

import json
import os
import random
import subprocess
import threading
import urllib.parse

from proxy import Proxy
from scene import require
from stage import say
from world import AWS, until

NAME, STEP, RATE = "after-kills", 20, 400
# A replay that was not updated for this time can be taken over, in microseconds.
TAKEOVER = 60_000_000


class Run:
    """A process of the replay. `published` has its events in their order."""

    def __init__(self, kills, number, config_of, begin):
        self.published, self.kill_after, self.reached = [], None, threading.Event()
        self.proxy = Proxy(kills.scene.endpoint, self.watch)
        config = config_of({"endpoint_url": self.proxy.url})
        begin = [*kills.window, "--yes", "--name", NAME, "--rate", RATE] if begin else ["--resume", NAME]
        command = [kills.command.protobridge, "replay", *begin, "--step", STEP, "--json", "--config", config]
        self.output = kills.scene.work / f"replay-{number}"
        with self.output.with_suffix(".json").open("w") as out, self.output.with_suffix(".log").open("w") as log:
            self.process = subprocess.Popen([*map(str, command)], env=os.environ | AWS, stdout=out, stderr=log)

    def watch(self, call):
        if b"Action=Publish" not in call.body:
            return
        self.published += entries(call.body)
        if self.kill_after is not None and len(self.published) >= self.kill_after:
            self.reached.set()

    def kill(self, after, logs):
        """Kills the process when it has published this number of events."""
        self.kill_after = after
        ended = lambda: self.reached.is_set() or self.process.poll() is not None  # noqa: E731
        until(f"the replay publishes {after} events", ended, logs)
        require(self.process.poll() is None, "the replay runs until it is killed", self.text())
        self.process.kill()
        self.process.wait()
        self.proxy.close()

    def finish(self):
        code = self.process.wait(120)
        self.proxy.close()
        return code

    def text(self):
        return self.output.with_suffix(".log").read_text()


def entries(body):
    """Returns the event id and the name of the replay of each entry of a publish."""
    found = {}
    for name, (value, *_) in urllib.parse.parse_qs(body.decode(), keep_blank_values=True).items():
        prefix, _, rest = name.rpartition("member.")
        number, _, rest = rest.partition(".") if prefix else ("", "", name)
        found.setdefault(number, {})[rest] = value
    return [event for event in map(event_of, found.values()) if event[0]]


def event_of(fields):
    attributes = {}
    for name, value in fields.items():
        if name.startswith("MessageAttributes.entry.") and name.endswith(".Name"):
            attributes[value] = fields.get(name.removesuffix("Name") + "Value.StringValue")
    return attributes.get("event-id"), attributes.get("replay")


def run(kills, seed, rounds):
    Replays(kills, seed, rounds).run()


class Replays:
    def __init__(self, kills, seed, rounds):
        self.kills, self.scene, self.rounds, self.chance = kills, kills.scene, rounds, random.Random(seed)
        self.runs = []

    def config(self, endpoints):
        return self.scene.configure("replay", self.kills.store, endpoints)

    def start(self):
        self.runs.append(Run(self.kills, len(self.runs), self.config, begin=not self.runs))
        return self.runs[-1]

    def run(self):
        for number in range(self.rounds):
            self.start().kill(self.chance.randrange(1, 2 * STEP), self.scene.logs)
            if number == 0:
                refused = self.start()
                is_right = refused.finish() == 1 and "if that process is gone, try again at" in refused.text()
                require(is_right and not refused.published, "a replay that was just killed is not continued")
                self.runs.pop()
            self.age()
        last = self.start()
        code = last.finish()
        require(code == (1 if self.kills.gaps else 0), "the exit code tells of gaps", code, last.text())
        named = [line for line in last.text().splitlines() if line.startswith("gap in the archive: ")]
        require(len(named) == len(self.kills.gaps), "the replay names each gap", last.text())
        self.compare(code)

    def age(self):
        """Makes the cursor as old as that of a process that is taken for dead."""
        path = max((self.kills.folder / "replays/v1" / NAME).glob("*.json"))
        state = json.loads(path.read_text())
        require(state["status"] == "running", "a killed replay has no chance to say that it stopped", state)
        path.write_text(json.dumps(state | {"updated_at": state["updated_at"] - TAKEOVER}))

    def compare(self, code):
        event_ids = self.scene.event_ids()
        wanted = {event_ids[key] for key in self.kills.rows}
        self.scene.until_arrived(wanted, NAME)
        published = [event for run in self.runs for event in run.published]
        others = [event for event in published if event[1] != NAME or event[0] not in wanted]
        require(not others, "the replay publishes archived events with its name only", *others[:3])
        repeats, seen = [], set()
        for run in self.runs:
            own = [event_id for event_id, _ in run.published]
            require(len(own) == len(set(own)), "one process sends no event twice", run.text())
            repeats.append(len(seen & set(own)))
            seen |= set(own)
        require(max(repeats) <= STEP, f"each kill repeats at most {STEP} events", repeats)
        groups = self.check_order()
        state = json.loads(self.kills.command.run("replay", "--list", "--json"))[0]
        counts = state["counts"]
        is_right = state["status"] == "done" and counts["messages"] == counts["published"] == len(wanted)
        require(is_right and not counts["refused"], "the cursor counts each message once", state, len(wanted))
        say(
            f"replays: killed {self.rounds} times, all {len(wanted)} archived messages arrived with the attribute; "
            f"{len(published)} deliveries, {sum(repeats)} of them repeated, at most {max(repeats)} by a kill in steps "
            f"of {STEP}; {groups} groups are in order; exit code {code} with {len(self.kills.gaps)} gaps"
        )

    def check_order(self):
        """Checks the order of each group, as it was published and as it arrived. Returns the number of groups."""
        rows = [(key, json.loads(row)) for key, row in self.kills.rows.items()]
        event_ids = self.scene.event_ids()
        groups = {}
        for key, (queue, _, _, group, _, number) in rows:
            if queue == "orders":
                groups.setdefault(group, []).append((int(number), event_ids[key]))
        arrived = list(dict.fromkeys(event_id for event_id, name in self.scene.inboxes[1].arrived if name == NAME))
        for group, members in groups.items():
            order = [event_id for _, event_id in sorted(members)]
            place = {event_id: number for number, event_id in enumerate(order)}
            done = 0
            for run in self.runs:
                own = [place[event_id] for event_id, _ in run.published if event_id in place]
                is_right = own == list(range(own[0], own[0] + len(own))) and own[0] <= done if own else True
                require(is_right, f"a replay keeps the order of {group}", own, done)
                done = max([done, *(number + 1 for number in own)])
            got = [event_id for event_id in arrived if event_id in place]
            require(got == order, f"the events of {group} arrive in their order")
        return len(groups)
