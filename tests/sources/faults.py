"""Breaks S3 while the service runs, and before it starts."""

import signal
import time
from contextlib import ExitStack, closing

from ground import BAR_SECONDS, LAST_SUCCESS, POLL_SECONDS, PREFIX, REGION, Bucket, Ground, Replica, flow, require
from teams import Team
from world import get, until

# The code that the metric has for each fault, and the failed polls to wait for. A poll that hangs ends after 3 attempts.
CODES = {"refuse": ("denied", 3), "unavailable": ("other", 2), "hang": ("other", 1)}
ATTEMPT_MS = 3_000
# How long a start tries, and how much longer it may take.
START_SECONDS, START_MARGIN_SECONDS = 60, 20
KEY = f"{PREFIX}/{Team('orders').key}"
# A stop waits for the end of a long poll of SQS.
STOP_SECONDS = 4


def denied(args, server):
    """Denies access, fails and hangs, each for some polls."""
    ground = Ground("denied", server, args.queues, args.work)
    with closing(ground.bucket.create().proxy), Replica(ground, "pod-a", args.protobridge) as replica:
        team = Team("orders")
        wanted = {team.key: ground.put(team, 1)}
        replica.start(ground.configure(aws={"attempt_timeout_ms": ATTEMPT_MS}))
        replica.until_ready()
        replica.until_sets(wanted)
        require(replica.errors("descriptors") == 0, "a source that works has no errors", replica.errors("descriptors"))
        figures = [fault(ground, replica, team, version, name) for version, name in enumerate(CODES, 1)]
        require(ground.quarantined() == 0, "no event is in quarantine")
        figures.append(f"SIGTERM ends the service in {stop_hanging(ground, replica):.2f} s while S3 hangs")
    ground.say("; ".join(figures))


def stop_hanging(ground, replica):
    """Stops the service in the middle of a poll. Returns the time that this takes."""
    proxy = ground.bucket.proxy
    proxy.break_with("hang")
    until("a poll hangs", lambda: proxy.failed, ground.logs)
    began = time.monotonic()
    replica.stop()
    took = time.monotonic() - began
    require(took < STOP_SECONDS, "the service stops while S3 hangs", took)
    return took


def fault(ground, replica, team, version, name):
    """Breaks S3 in one way, with a new version behind it. The version in force stays until S3 works again."""
    proxy, (code, polls) = ground.bucket.proxy, CODES[name]
    before = replica.errors("descriptors", code=code)
    proxy.break_with(name)
    began = time.monotonic()
    wanted = {team.key: ground.put(team, version + 1)}
    until(f"polls fail: {name}", lambda: replica.errors("descriptors", code=code) >= before + polls, ground.logs)
    errors = replica.errors("descriptors", code=code) - before
    success = replica.metric(LAST_SUCCESS, what="descriptors")
    require(time.time() - success > POLL_SECONDS, "the last success is before the fault", success, time.time())
    says = told(replica)
    require(says and ground.bucket.url in says["error"], "/status tells of the fault", replica.page("/status"))
    flow(ground, team, version, 20)
    require(get(f"http://{replica.admin}/readyz")[0] == 200, "the service stays ready")
    broken = time.monotonic() - began
    proxy.heal()
    took = replica.until_sets(wanted)
    require(took <= BAR_SECONDS, f"after the fault, the change is live within {BAR_SECONDS} s: {name}", took)
    until("the last success is new", lambda: replica.metric(LAST_SUCCESS, what="descriptors") > success, ground.logs)
    until("/status tells of no fault", lambda: not told(replica), ground.logs)
    flow(ground, team, version + 1)
    return (
        f"{name} for {broken:.0f} s: {errors} errors of code {code}, events flow, and {took:.2f} s later the change is "
        "live"
    )


def told(replica):
    """Returns the failure of the last poll, as /status says."""
    place = next(each for each in replica.page("/status")["places"] if each["what"] == "descriptors")
    error = place.get("last_error")
    return error if error and error["at"] > place["last_success_at"] else None


class Start:
    """A start whose bucket does not work."""

    def __init__(self, ground, name, args, fault=None, path=PREFIX):
        self.ground, self.name, self.fault = ground, name, fault
        self.bucket = Bucket(ground.server, f"acme-{name}-{ground.server.name}")
        self.replica = Replica(ground, name, args.protobridge)
        if fault:
            self.bucket.create()
            self.put()
            self.bucket.proxy.break_with(fault)
        self.replica.start(ground.configure(name, self.bucket, {"path": f"{self.bucket.url}/{path}"}))
        self.began = time.monotonic()

    def put(self):
        self.bucket.put(KEY, Team("orders").set(1))

    def seconds(self):
        return time.monotonic() - self.began

    def until_trying(self):
        """Waits until the service has asked S3, and requires that it is not ready."""
        until(f"{self.name} asks S3", self.has_asked, self.ground.logs)
        self.check_not_ready()

    def has_asked(self):
        return self.bucket.proxy.failed or self.bucket.calls

    def check_not_ready(self):
        status = get(f"http://{self.replica.admin}/readyz")[0]
        require(status in [None, 503], f"{self.name} is not ready before it has its sets", status)

    def ended(self):
        """Waits for the end. Returns the time that the start took."""
        code = self.replica.process.wait(START_SECONDS + START_MARGIN_SECONDS + 60)
        took, log = self.seconds(), self.replica.log.read_text()
        within = START_SECONDS <= took <= START_SECONDS + START_MARGIN_SECONDS
        what = f"{self.name}: a start tries for {START_SECONDS} s and exits with 1"
        require(code == 1 and within, what, code, took, log)
        return took

    def check_error(self, *words):
        log = self.replica.log.read_text()
        last = "\n".join(log.splitlines()[-6:])
        missing = [word for word in [self.bucket.name, PREFIX, REGION, *words] if word not in last]
        require(not missing, f"{self.name}: the error names what is missing", missing, log)


def start(args, server):
    """Starts services without a bucket, without access, and with an S3 that hangs, and ends some of them."""
    ground = Ground("start", server, args.queues, args.work)
    with ExitStack() as stack:

        def begin(name, *more):
            each = Start(ground, name, args, *more)
            stack.enter_context(closing(each.bucket.proxy))
            stack.enter_context(each.replica)
            return each

        missing, refused, hanging = begin("missing"), begin("refused", "refuse"), begin("hanging", "hang")
        single, late, ended = begin("single", "hang", KEY), begin("late"), begin("ended")
        for each in [missing, refused, hanging, single, late, ended]:
            each.until_trying()
        stopped = terminate(ended)
        late.bucket.create()
        late.put()
        created = late.seconds()
        late.replica.until_ready()
        took = late.seconds() - created
        flow(ground, Team("orders"), 1)
        late.replica.stop()
        for each in [missing, refused, hanging, single]:
            each.check_not_ready()
        times = [each.ended() for each in [missing, refused, hanging, single]]
        missing.check_error("NoSuchBucket")
        refused.check_error("s3:ListBucket")
        hanging.check_error()
        single.check_error(KEY)
    tried = ", ".join(f"{each:.0f}" for each in times)
    ground.say(
        "without a bucket, without access and with an S3 that hangs (a prefix, and a single key), a start exits with 1 "
        f"after {tried} s and names bucket, prefix, region and permission; a bucket that appears is used after "
        f"{took:.1f} s; SIGTERM ends a start in {stopped:.2f} s"
    )


def terminate(start):
    began = time.monotonic()
    start.replica.process.send_signal(signal.SIGTERM)
    code = start.replica.process.wait(30)
    took = time.monotonic() - began
    require(took < 2, "SIGTERM ends a start at once", took, start.replica.log.read_text())
    require(code in [0, 143, -signal.SIGTERM], "a start that SIGTERM ends is no failure", code)
    return took
