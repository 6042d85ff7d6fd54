"""What the keys of segments declare, and what they leave unknown: the same reasoning as the reader's, on its own."""

import re
from dataclasses import dataclass

KEY = re.compile(
    r"journal/v1/date=(?P<date>\d{4}-\d\d-\d\d)/hour=(?P<hour>\d\d)/(?P<begin>\d{4})-(?P<replica>.+)-"
    r"(?P<incarnation>[0-9a-f]{16})-(?P<number>\d{6,})-(?P<start>\d+)-(?P<to>\d+)-(?P<next_by>\d+)-(?P<rows>\d+)-"
    r"(?P<dropped>\d+)-(?P<end>end|more)\.parquet"
)
COUNTERS = re.compile(
    r"counters/v1/date=\d{4}-\d\d-\d\d/hour=\d\d/\d{4}-(?P<replica>.+)-(?P<incarnation>[0-9a-f]{16})-"
    r"(?P<number>\d+)\.json"
)


@dataclass
class Segment:
    """A segment, as its key declares it. Times are microseconds since the epoch."""

    key: str
    replica: str
    incarnation: str
    number: int
    start: int
    to: int
    next_by: int
    rows: int
    dropped: int
    is_last: bool

    @classmethod
    def of_key(cls, key):
        found = KEY.fullmatch(key)
        if not found:
            raise ValueError(f"{key} is not the key of a segment")
        numbers = {name: int(found[name]) for name in ["number", "start", "to", "next_by", "rows", "dropped"]}
        return cls(key, found["replica"], found["incarnation"], is_last=found["end"] == "end", **numbers)


@dataclass
class Process:
    """The segments of one process, in order."""

    replica: str
    incarnation: str
    segments: list

    @property
    def began(self):
        """When the process began, in milliseconds since the epoch."""
        return int(self.incarnation[:12], 16)

    @property
    def hole(self):
        """The begin of the time about which the process says nothing; None if it stopped in order."""
        last = self.segments[-1]
        return None if last.is_last else last.to

    def gaps(self):
        """Returns the segments that do not begin where the one before them ends."""
        pairs = zip(self.segments, self.segments[1:])
        return [after for before, after in pairs if (before.to, before.number + 1) != (after.start, after.number)]


def processes(keys):
    """Returns the processes that have a segment among these keys, in the order in which they began."""
    found = {}
    for segment in map(Segment.of_key, keys):
        found.setdefault((segment.replica, segment.incarnation), []).append(segment)
    all_of = [Process(*name, sorted(own, key=lambda each: each.number)) for name, own in found.items()]
    return sorted(all_of, key=lambda process: process.began)
