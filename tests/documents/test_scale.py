"""Tests the arithmetic of docs/performance/scale.py with numbers that can be checked by hand, and that its inputs are
the defaults of the configuration. It needs Python 3.10 and nothing else:

    python3 tests/documents/test_scale.py
"""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs/performance/scale.py"
FILES = ("scale.json", "scale.md", "report.json")

sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("scale", SCRIPT)
scale = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scale)

# A million events per month are this many per second.
MILLION = 1e6 / scale.MONTH_SECONDS


def run(calls, entries, units):
    """Returns a run of 1,000 events with these calls, entries and units per operation."""
    names = ("ReceiveMessage", "PublishBatch", "DeleteMessageBatch")
    counts = {name: {"calls": calls, "failed": 0, "entries": entries, "units": units} for name in names}
    return {
        "scenario": "customers", "label": "100", "plan": {"spec": {"events": 1000}},
        "figures": {"cpu_us_per_event": 50.0, "peak_rss_mib": 64.0, "json_bytes": 1000.0},
        "service": {"stats": {"calls": counts}},
    }


def inputs(folder, *, calls=100, entries=1000, units=100, deliveries=1):
    """Returns inputs with round numbers."""
    raw = json.loads((SCRIPT.parent / "scale.json").read_text())
    raw["shapes"] = [{"name": "round", "scenario": "customers", "label": "100", "topics": 10}]
    raw["planned_shape"] = "round"
    raw["headroom"]["value"], raw["deliveries_per_event"]["value"] = 0.5, deliveries
    changed = {
        "replica_events": 1000, "message_bytes": 500, "overhead_in": 500, "overhead_out": 0, "form_factor": 2,
        "archive_share_low": 0.25, "archive_share_high": 0.5, "journal_row_bytes": 100, "journal_segment_rows": 1000,
    }
    for key, value in changed.items():
        raw["measured"][key]["value"] = value
    (folder / "scale.json").write_text(json.dumps(raw))
    (folder / "report.json").write_text(json.dumps({"runs": [run(calls, entries, units)]}))
    return scale.Inputs(folder)


class Model(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)

    def inputs(self, **changed):
        return inputs(self.folder, **changed)

    def test_replicas_have_headroom_and_are_two_at_least(self):
        given = self.inputs()
        self.assertEqual([scale.replicas(given, rate) for rate in (1, 1000, 1001, 10_000)], [2, 2, 3, 20])

    def test_cores_have_headroom(self):
        given = self.inputs()
        self.assertEqual(scale.cores(given, given.planned, 20_000), 2)

    def test_accounts_are_whole_and_grow_with_the_deliveries(self):
        self.assertEqual(scale.accounts(self.inputs(), 30_000, 30_000), 1)
        self.assertEqual(scale.accounts(self.inputs(), 30_001, 30_000), 2)
        self.assertEqual(scale.accounts(self.inputs(deliveries=3), 30_001, 30_000), 4)

    def test_units_are_calls_or_entries(self):
        shape = self.inputs().planned
        self.assertEqual(shape.units_of("PublishBatch"), (0.1, 1.0))
        self.assertEqual(shape.units_of("ReceiveMessage", "DeleteMessageBatch"), (0.2, 2.0))
        # A call with more than 64 KiB has more units than calls, and here more than entries.
        self.assertEqual(self.inputs(units=1500).planned.units_of("PublishBatch"), (1.5, 1.5))

    def test_requests_cost_their_units(self):
        given = self.inputs()
        parts = scale.costs(given, given.planned, MILLION)
        # A tenth of a million units, or a million, at $0.50. Twice that for SQS, at $0.40.
        for name, wanted in (("SNS: publish", (0.05, 0.5)), ("SQS: receive and delete", (0.08, 0.8))):
            for got, bound in zip(parts[name], wanted):
                self.assertAlmostEqual(got, bound)

    def test_more_deliveries_cost_more_publishes_and_no_more_receives(self):
        one, three = (self.inputs(deliveries=number) for number in (1, 3))
        once, thrice = (scale.costs(given, given.planned, MILLION) for given in (one, three))
        self.assertAlmostEqual(thrice["SNS: publish"][0], 3 * once["SNS: publish"][0])
        self.assertEqual(thrice["SQS: receive and delete"], once["SQS: receive and delete"])

    def test_traffic_costs_its_bytes(self):
        given = self.inputs()
        # 1,000 bytes in, and 1,000 bytes of JSON that take 2,000: 3,000 GB for 10^9 events.
        self.assertEqual(scale.bytes_per_event(given, given.planned), (1000, 2000))
        parts = scale.costs(given, given.planned, 1000 * MILLION)
        self.assertAlmostEqual(parts["network, interface endpoints"][0], 30)
        self.assertAlmostEqual(parts["instead of endpoints: NAT gateway"][0], 135)

    def test_tiers_apply_to_their_part_only(self):
        tiers = [[100, 3], [200, 2], [None, 1]]
        costs = [scale.tiered(amount, tiers) for amount in (50, 100, 150, 300, 1000)]
        self.assertEqual(costs, [150, 300, 400, 700, 1400])

    def test_kms_follows_the_formula_of_aws(self):
        given = self.inputs()
        # 2,628,000 s / 300 s = 8,760 periods; 3 requests for the queue, and 2 for each of ten topics.
        self.assertEqual(scale.kms_requests(given, 1, 10), 8760 * 23)

    def test_segments_are_stored_when_they_are_full_or_old(self):
        given = self.inputs()
        # Two replicas: one segment each per minute, one object of counters each per minute.
        self.assertAlmostEqual(scale.journal_puts(given, 1), 4 / 60)
        # 10,000 rows per second fill ten segments of 1,000; twenty replicas write counters.
        self.assertAlmostEqual(scale.journal_puts(given, 10_000), 10 + 20 / 60)
        self.assertEqual(scale.archive_puts(given, 1), 2)
        self.assertEqual(scale.archive_puts(given, 10_000), 20)

    def test_the_journal_costs_its_storage_and_its_requests(self):
        given = self.inputs()
        # 100 bytes × 86,400 × 30 days for one event per second, and 4 PUTs per minute.
        wanted = 0.2592 * 0.023 + 4 * 43_800 / 1000 * 0.005
        self.assertAlmostEqual(scale.costs(given, given.planned, 1)["journal"][0], wanted)

    def test_the_archive_costs_its_storage_and_its_requests(self):
        given = self.inputs()
        # 500 bytes × 86,400 × 7 days for one event per second, a quarter or a half of it, and 2 PUTs per second.
        stored, puts = 0.3024 * 0.023, 2 * 2628 * 0.005
        for got, share in zip(scale.costs(given, given.planned, 1)["archive"], (0.25, 0.5)):
            self.assertAlmostEqual(got, stored * share + puts)

    def test_compute_costs_cores_or_the_least_of_the_pods(self):
        given = self.inputs()
        memory = 2 * 0.64 * 0.004445
        costs = {rate: scale.costs(given, given.planned, rate)["compute"] for rate in (1, 1000)}
        # Two pods of a quarter of a core, and two pods that need 0.1 core together.
        self.assertEqual(costs[1], costs[1000])
        self.assertAlmostEqual(costs[1][0], 730 * (0.5 * 0.04048 + memory))
        given.planned.cpu_us = 500
        wanted = 730 * (1 * 0.04048 + memory)
        self.assertAlmostEqual(scale.costs(given, given.planned, 1000)["compute"][0], wanted)

    def test_the_total_leaves_out_what_is_optional(self):
        parts = {"SNS: publish": [1, 2], "compute": [3, 3], "archive": [100, 100]}
        self.assertEqual(scale.total(parts), [4, 5])

    def test_a_limit_is_reached_at_its_rate(self):
        given = self.inputs(deliveries=2)
        rates = {name: rate for name, _, rate, _ in scale.limits(given, given.planned)}
        self.assertEqual(rates["SNS quota"], 15_000)
        self.assertEqual(rates["one replica"], 1000)
        self.assertAlmostEqual(rates["one queue with an archive"], 120_000 / 0.85)
        # 1,000 bytes in, and two publishes of 2,000: 5,000 bytes per event on 100 Gbit/s.
        self.assertAlmostEqual(rates["interface endpoint"], 100e9 / 8 / 5000)

    def test_the_first_table_names_the_limits_that_are_reached_in_order(self):
        given = self.inputs()
        row = next(line for line in scale.first_table(given).splitlines() if line.startswith("| 100,000/s"))
        names = re.findall(r"(\w[\w ]*) \(", row)
        self.assertEqual(names[:3], ["window in memory", "one replica", "SNS quota"])
        self.assertNotIn("one queue", names)
        given.measured["replica_events"] = 50_000
        row = next(line for line in scale.first_table(given).splitlines() if line.startswith("| 100,000/s"))
        self.assertEqual(re.findall(r"(\w[\w ]*) \(", row)[1:3], ["SNS quota", "one replica"])

    def test_numbers_have_three_digits(self):
        wanted = {0: "0", 0.06667: "0.0667", 2: "2", 6.25: "6.25", 16.6: "17", 1234567: "1,230,000", 100_000: "100,000"}
        self.assertEqual({value: scale.number(value) for value in wanted}, wanted)
        self.assertEqual(scale.money(1234.5, 1234.5), "$1,230")
        self.assertEqual(scale.money(0.051, 5), "$0.051–$5")


class Document(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        for name in FILES:
            shutil.copy2(SCRIPT.parent / name, self.folder)

    def scale(self, option):
        command = [sys.executable, "-B", SCRIPT, option, "--folder", self.folder]
        return subprocess.run(command, capture_output=True, text=True)

    def test_the_check_notices_a_changed_input_and_the_update_follows_it(self):
        self.assertEqual(self.scale("--check").returncode, 0)
        path = self.folder / "scale.json"
        raw = json.loads(path.read_text())
        raw["prices"]["sns_standard"]["value"] *= 2
        path.write_text(json.dumps(raw))
        checked = self.scale("--check")
        self.assertEqual(checked.returncode, 1)
        self.assertIn("out of date: run docs/performance/scale.py --update", checked.stderr)
        self.assertEqual(self.scale("--update").returncode, 0)
        self.assertEqual(self.scale("--check").returncode, 0)

    def test_the_check_notices_a_figure_that_was_edited(self):
        path = self.folder / "scale.md"
        text = path.read_text()
        path.write_text(text.replace("| SNS: publish | $", "| SNS: publish | $1", 1))
        self.assertNotEqual(path.read_text(), text)
        self.assertEqual(self.scale("--check").returncode, 1)

    def test_a_missing_table_is_an_error(self):
        path = self.folder / "scale.md"
        path.write_text(path.read_text().replace("<!-- table costs -->", ""))
        for option in ("--check", "--update"):
            self.assertIn("expected first, limits", self.scale(option).stderr)

    def test_a_run_that_is_gone_is_an_error(self):
        path = self.folder / "report.json"
        report = json.loads(path.read_text())
        report["runs"] = [run for run in report["runs"] if run["scenario"] != "linger"]
        path.write_text(json.dumps(report))
        self.assertIn("report.json has 0 runs linger 10 ms", self.scale("--check").stderr)


class Defaults(unittest.TestCase):
    """The inputs that the product also has."""

    def setUp(self):
        self.raw = json.loads((SCRIPT.parent / "scale.json").read_text())
        self.config = (ROOT / "config/protobridge.yaml").read_text()

    def default(self, section, key):
        """Returns the default of a key in a section of the example configuration."""
        part = re.search(rf"^(?:# )?{section}:\n((?:(?:  |#|$).*\n)*)", self.config, re.MULTILINE)
        found = part and re.search(rf"^  (?:# )?{key}: \"?([^\"\s]+)", part[1], re.MULTILINE)
        self.assertTrue(found, f"config/protobridge.yaml has no {section}.{key}")
        return found[1]

    def test_settings_are_the_defaults(self):
        for key, entry in self.raw["settings"].items():
            section, name = entry["source"].strip("`").split(".")
            self.assertEqual(float(self.default(section, name)), entry["value"], key)

    def test_prices_are_those_of_the_cost_report(self):
        self.assertEqual(self.default("prices", "as_of"), self.raw["prices"]["as_of"])
        for key in ("sns_standard", "sqs_standard", "s3_put_thousand", "s3_gb_month"):
            self.assertEqual(float(self.default("prices", key)), self.raw["prices"][key]["value"], key)

    def test_the_pod_is_that_of_the_chart(self):
        values = (ROOT / "charts/protobridge/values.yaml").read_text()
        self.assertIn("\n    cpu: 250m\n", values)
        self.assertIn("\n    memory: 640Mi\n", values)
        self.assertEqual(scale.values(self.raw["pod"]), {"vcpu": 0.25, "memory_gb": 0.64})


if __name__ == "__main__":
    unittest.main()
