#!/usr/bin/env python3
"""Computes the tables of scale.md from scale.json and report.json.

    scale.py            prints the tables
    scale.py --update   writes them into scale.md, between the lines `<!-- table NAME -->` and `<!-- /table -->`
    scale.py --check    fails if a table of scale.md is another one

`--folder` is another folder with these three files. It needs Python 3.10 or later and nothing else.
"""

import argparse
import json
import math
import re
import sys
from pathlib import Path

MONTH_SECONDS = 730 * 3600
GB = 1e9


# -- inputs


class Inputs:
    """The inputs of the model: what was measured, and what AWS publishes."""

    def __init__(self, folder):
        self.raw = json.loads((folder / "scale.json").read_text())
        self.sizes = self.raw["sizes"]
        self.deliveries = self.raw["deliveries_per_event"]["value"]
        self.headroom = self.raw["headroom"]["value"]
        self.pod = values(self.raw["pod"])
        self.measured, self.settings = values(self.raw["measured"]), values(self.raw["settings"])
        self.prices = values(self.raw["prices"])
        self.quotas = values(self.raw["quotas"])
        runs = json.loads((folder / "report.json").read_text())["runs"]
        self.shapes = [Shape(shape, runs) for shape in self.raw["shapes"]]
        self.planned = next(shape for shape in self.shapes if shape.name == self.raw["planned_shape"])


def values(section):
    """Returns the values of a section without their sources."""
    return {key: entry["value"] if isinstance(entry, dict) else entry for key, entry in section.items()}


class Shape:
    """A kind of load, and what the load test measured for it, per event."""

    def __init__(self, described, runs):
        self.name, self.topics = described["name"], described["topics"]
        wanted = (described["scenario"], described["label"])
        found = [run for run in runs if (run["scenario"], run["label"]) == wanted]
        if len(found) != 1:
            sys.exit(f"report.json has {len(found)} runs {' '.join(wanted)}, not one")
        figures, spec = found[0]["figures"], found[0]["plan"]["spec"]
        self.cpu_us, self.rss_mib, self.json_bytes = (
            figures[key] for key in ("cpu_us_per_event", "peak_rss_mib", "json_bytes"))
        self.calls, self.units = {}, {}
        for operation, count in found[0]["service"]["stats"]["calls"].items():
            self.calls[operation] = count["calls"] / spec["events"]
            # AWS does not say how it rounds up a batch: in total, or each entry.
            self.units[operation] = (count["units"] / spec["events"],
                                     max(count["units"], count["entries"]) / spec["events"])

    def units_of(self, *operations):
        """Returns the billed units per event, low and high."""
        both = [self.units.get(operation, (0, 0)) for operation in operations]
        return sum(low for low, _ in both), sum(high for _, high in both)


PUBLISH = ("PublishBatch",)
QUEUE = ("ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch")


# -- the model


def replicas(inputs, rate):
    """Returns the number of replicas with default settings, at least two, so that one can fail."""
    return max(2, math.ceil(rate / inputs.measured["replica_events"] / inputs.headroom))


def accounts(inputs, rate, quota):
    """Returns the number of accounts, or of regions with this quota, that together may publish this rate of events."""
    return math.ceil(rate * inputs.deliveries / quota)


def cores(inputs, shape, rate):
    return rate * shape.cpu_us / 1e6 / inputs.headroom


def bytes_per_event(inputs, shape):
    """Returns the bytes in and out per event on the wire, without TLS."""
    measured = inputs.measured
    into = measured["message_bytes"] + measured["overhead_in"]
    return into, inputs.deliveries * shape.json_bytes * measured["form_factor"] + measured["overhead_out"]


def archive_puts(inputs, rate):
    """Returns the PUTs per second: a segment is stored when it is full, or after the flush time, per replica."""
    full = rate * inputs.measured["message_bytes"] / inputs.settings["archive_segment_bytes"]
    return max(full, replicas(inputs, rate) * 1000 / inputs.settings["flush_ms"])


def journal_puts(inputs, rate):
    """Returns the PUTs per second of segments, and of the counters, one object per replica and minute."""
    each = replicas(inputs, rate) / inputs.settings["journal_seconds"]
    full = rate * inputs.deliveries / inputs.measured["journal_segment_rows"]
    return max(full, each) + replicas(inputs, rate) / 60


def limits(inputs, shape):
    """Returns the limits: the name, the limit as text, the rate of events that reaches it, and what to do."""
    measured, settings, quotas = inputs.measured, inputs.settings, inputs.quotas
    wire = sum(bytes_per_event(inputs, shape)) * 8 / 1e9
    window = settings["window_entries"] / settings["window_seconds"]
    redis_memory = quotas["redis_memory"] / (measured["redis_key_bytes"] * settings["window_seconds"])
    best = quotas["sns"][0]
    yield ("window in memory", f"{number(settings['window_entries'])} keys per replica, without Redis", window,
           "set `dedupe.redis_url`, or raise `dedupe.max_entries`")
    yield ("one replica", "default settings, 20 ms per call", measured["replica_events"],
           "add replicas; raise `receive.max_pollers` and `publish.max_concurrent_calls_per_topic`")
    yield ("SNS quota", f"{number(best['value'])} messages/s in {best['regions']}", best["value"] / inputs.deliveries,
           "ask for a higher quota; then several accounts or regions")
    yield ("commands of one Redis", f"{number(measured['redis_commands_per_second'])} per second",
           measured["redis_commands_per_second"] / measured["redis_commands"] / inputs.deliveries,
           "a faster Redis; then an installation per queue, each with a Redis")
    yield ("one queue with an archive", f"{number(quotas['sqs_in_flight'])} messages in flight",
           quotas["sqs_in_flight"] / measured["in_flight_seconds_archive"],
           "several queues; a lower `archive.flush_ms`")
    yield ("memory of one Redis", f"{quotas['redis_memory'] / GB:.0f} GB", redis_memory / inputs.deliveries,
           "a shorter `dedupe.window_seconds`; then an installation per queue")
    yield ("one queue", f"{number(quotas['sqs_in_flight'])} messages in flight",
           quotas["sqs_in_flight"] / measured["in_flight_seconds"], "several queues")
    yield ("interface endpoint", f"{quotas['endpoint_gbit']} Gbit/s per zone", quotas["endpoint_gbit"] / wire,
           "spread the replicas over zones; then several accounts")
    yield ("PUTs to one prefix of S3", f"{number(quotas['s3_puts'])} per second",
           quotas["s3_puts"] / (archive_puts(inputs, 1e9) + journal_puts(inputs, 1e9)) * 1e9,
           "longer `archive.flush_ms`; several prefixes")


def tiered(amount, tiers):
    """Returns the price of an amount whose first part has one price and each further part another."""
    cost = 0.0
    for size, price in tiers:
        part = amount if size is None else min(amount, size)
        cost, amount = cost + part * price, amount - part
    return cost


def kms_requests(inputs, queues, topics):
    """Returns the requests of a month by AWS's formula, with one producer and one consumer per queue, which AWS calls a
    lower bound."""
    periods = MONTH_SECONDS / inputs.prices["kms_reuse_seconds"]
    return periods * (queues * (2 + 1) + topics * 2)


def costs(inputs, shape, rate):
    """Returns the costs of a month, low and high, by part."""
    prices, measured, settings = inputs.prices, inputs.measured, inputs.settings
    events = rate * MONTH_SECONDS
    publish, queue = shape.units_of(*PUBLISH), shape.units_of(*QUEUE)
    traffic = events * sum(bytes_per_event(inputs, shape)) / GB
    kept = rate * 86400 / GB
    rows = kept * inputs.deliveries * measured["journal_row_bytes"]
    journal = rows * settings["journal_days"] * prices["s3_gb_month"]
    journal += journal_puts(inputs, rate) * MONTH_SECONDS / 1000 * prices["s3_put_thousand"]
    stored = kept * measured["message_bytes"] * settings["archive_days"] * prices["s3_gb_month"]
    puts = archive_puts(inputs, rate) * MONTH_SECONDS / 1000 * prices["s3_put_thousand"]
    compute = max(cores(inputs, shape, rate), replicas(inputs, rate) * inputs.pod["vcpu"]) * prices["vcpu_hour"]
    compute += replicas(inputs, rate) * inputs.pod["memory_gb"] * prices["memory_gb_hour"]
    kms = kms_requests(inputs, 1, shape.topics) / 10_000 * prices["kms_ten_thousand"]
    fan_out = [units * inputs.deliveries for units in publish]
    return {
        "SNS: publish": [units * events / 1e6 * prices["sns_standard"] for units in fan_out],
        "SQS: receive and delete": [units * events / 1e6 * prices["sqs_standard"] for units in queue],
        "compute": [compute * 730] * 2,
        "network, interface endpoints": [tiered(traffic, prices["endpoint_gb_tiers"])] * 2,
        "journal": [journal] * 2,
        "archive": [stored * measured["archive_share_low"] + puts, stored * measured["archive_share_high"] + puts],
        "KMS, if SQS and SNS use a key of yours": [kms] * 2,
        "instead of endpoints: NAT gateway": [traffic * prices["nat_gb"]] * 2,
    }


# Parts that are alternatives or options, and not in the total.
OPTIONAL = ("archive", "KMS, if SQS and SNS use a key of yours", "instead of endpoints: NAT gateway")


def total(parts):
    return [sum(part[bound] for name, part in parts.items() if name not in OPTIONAL) for bound in (0, 1)]


# -- tables


def number(value, digits=3):
    """Writes a number with thousands separators and about three significant digits."""
    if value == 0:
        return "0"
    digits -= math.floor(math.log10(abs(value))) + 1
    rounded = round(value, digits)
    return f"{rounded:,.{max(digits, 0)}f}" if rounded < 10 and rounded != int(rounded) else f"{rounded:,.0f}"


def money(low, high):
    texts = [f"${number(value, 2 if value < 100 else 3)}" for value in (low, high)]
    return texts[0] if texts[0] == texts[1] else "–".join(texts)


def percent(share):
    return "< 1 %" if share < 0.01 else f"{number(100 * share, 2)} %"


def per_second(inputs):
    return [f"{number(size)}/s" for size in inputs.sizes]


def table(head, rows):
    """Writes a table. Columns of figures are on the right."""
    columns = list(zip(*rows))
    is_figure = [all(re.match(r"[<$*\d]", cell) and len(cell) < 40 for cell in column) for column in columns]
    lines = [head, ["--:" if figure else "---" for figure in is_figure], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def first_table(inputs):
    rows = []
    for size in inputs.sizes:
        reached = sorted((rate, name) for name, _, rate, _ in limits(inputs, inputs.planned) if rate <= size)
        names = [f"{name} ({number(rate)}/s)" for rate, name in reached]
        needed = [number(accounts(inputs, size, quota["value"]), 6) for quota in inputs.quotas["sns"]]
        parts = total(costs(inputs, inputs.planned, size))
        rows.append([f"{number(size)}/s", "; ".join(names), f"{needed[0]} to {needed[-1]}",
                     number(replicas(inputs, size)), money(*parts)])
    head = ["events", "limits that are reached, in this order", "accounts", "replicas", "cost per month"]
    return table(head, rows)


def limits_table(inputs):
    rows = []
    for name, limit, rate, remedy in sorted(limits(inputs, inputs.planned), key=lambda each: each[2]):
        rows.append([name, limit, f"{number(rate)}/s", *(percent(size / rate) for size in inputs.sizes), remedy])
    return table(["limit", "its size", "reached at", *per_second(inputs), "then"], rows)


def regions_table(inputs):
    rows = [[f"{number(quota['value'])} messages/s: {quota['regions']}",
             *(number(accounts(inputs, size, quota["value"]), 6) for size in inputs.sizes)]
            for quota in inputs.quotas["sns"]]
    return table(["SNS quota", *per_second(inputs)], rows)


def load_table(inputs):
    shape, measured = inputs.planned, inputs.measured
    calls = {name: sum(shape.calls.get(operation, 0) for operation in names)
             for name, names in (("SNS", PUBLISH), ("SQS", QUEUE))}
    into, out = bytes_per_event(inputs, shape)
    keys = inputs.settings["window_seconds"] * inputs.deliveries * measured["redis_key_bytes"] / GB
    day = 86400 / 1e12
    rows = {
        "replicas": lambda rate: number(replicas(inputs, rate)),
        "cores": lambda rate: number(cores(inputs, shape, rate), 2),
        "calls to SQS per second": lambda rate: number(rate * calls["SQS"]),
        "calls to SNS per second": lambda rate: number(rate * calls["SNS"] * inputs.deliveries),
        "messages in flight, without and with an archive": lambda rate: " and ".join(
            number(rate * measured[key]) for key in ("in_flight_seconds", "in_flight_seconds_archive")),
        "Redis: commands per second": lambda rate: number(rate * measured["redis_commands"] * inputs.deliveries),
        "Redis: GB of keys": lambda rate: number(rate * keys),
        "network: Gbit/s in and out": lambda rate: " and ".join(number(rate * part * 8 / 1e9) for part in (into, out)),
        "S3: PUTs per second of the journal": lambda rate: number(journal_puts(inputs, rate)),
        "S3: PUTs per second of the archive": lambda rate: number(archive_puts(inputs, rate)),
        "journal: TB per day": lambda rate: number(rate * measured["journal_row_bytes"] * inputs.deliveries * day, 2),
        "archive: TB per day": lambda rate: "–".join(
            number(rate * measured["message_bytes"] * measured[f"archive_share_{bound}"] * day, 2)
            for bound in ("low", "high")),
    }
    return table(["", *per_second(inputs)], [[name, *map(row, inputs.sizes)] for name, row in rows.items()])


def costs_table(inputs):
    by_size = [costs(inputs, inputs.planned, size) for size in inputs.sizes]
    required = [name for name in by_size[0] if name not in OPTIONAL]
    rows = [[name, *(money(*parts[name]) for parts in by_size)] for name in required]
    rows.append(["**together**", *(f"**{money(*total(parts))}**" for parts in by_size)])
    rows.append(["per million events", *(
        money(*(part / (size * MONTH_SECONDS / 1e6) for part in total(parts)))
        for size, parts in zip(inputs.sizes, by_size))])
    rows += [[name, *(money(*parts[name]) for parts in by_size)] for name in OPTIONAL]
    return table(["per month", *per_second(inputs)], rows)


def shapes_table(inputs):
    rows = []
    for shape in inputs.shapes:
        calls = sum(shape.calls.get(operation, 0) for operation in PUBLISH + QUEUE)
        rows.append([shape.name, number(calls * 1000), number(shape.cpu_us), number(shape.rss_mib),
                     *(money(*total(costs(inputs, shape, size))) for size in inputs.sizes)])
    return table(["load", "calls per 1,000 events", "µs CPU", "MiB", *per_second(inputs)], rows)


def inputs_table(inputs):
    rows = [[key.replace("_", " "), f"{entry['value']:,} {entry['unit']}".strip(), entry["source"]]
            for key, entry in inputs.raw["measured"].items()]
    return table(["input", "value", "source"], rows)


TABLES = {
    "first": first_table, "limits": limits_table, "regions": regions_table, "load": load_table, "costs": costs_table,
    "shapes": shapes_table, "inputs": inputs_table,
}


# -- the document


def updated(text, tables):
    """Returns the document with these tables. Each must be there once, and no other."""
    pattern = re.compile(r"<!-- table (\w+) -->\n(.*?)<!-- /table -->\n", re.DOTALL)
    names = [found[1] for found in pattern.finditer(text)]
    if sorted(names) != sorted(tables):
        sys.exit(f"scale.md has the tables {', '.join(names)}; expected {', '.join(tables)}")
    return pattern.sub(lambda found: f"<!-- table {found[1]} -->\n{tables[found[1]]}<!-- /table -->\n", text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent)
    args = parser.parse_args()
    inputs = Inputs(args.folder)
    tables = {name: make(inputs) for name, make in TABLES.items()}
    path = args.folder / "scale.md"
    if args.update:
        path.write_text(updated(path.read_text(), tables))
    elif args.check:
        text = path.read_text()
        if updated(text, tables) != text:
            sys.exit(f"{path}: the tables are out of date: run docs/performance/scale.py --update")
    else:
        for name, made in tables.items():
            print(f"{name}\n\n{made}")


if __name__ == "__main__":
    main()
