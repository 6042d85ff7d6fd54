"""Compares look-ups with DuckDB, a reader of Parquet that is not part of this project: each row, and each column."""

import json
import subprocess

import duckdb
import yaml

from stage import Command, check, say

SAMPLE, RATE, SECONDS = 10_000, 6_000, 5
# Small segments, so that the sample is spread over many.
SEGMENT_BYTES = 250_000
# The ids for which the query of `trace --sql` is run.
QUERIES = 20
TIMES = ["sent_at", "received_at", "published_at", "settled_at"]


def run(protobridge, journal_day, work):
    folder, ids = work / "day", work / "ids.jsonl"
    say(f"comparing {SAMPLE} look-ups with DuckDB")
    written = journal_day_run(
        journal_day, "write", folder, "--rate", RATE, "--seconds", SECONDS, "--segment-bytes", SEGMENT_BYTES,
        "--sample", ids, "--sample-size", SAMPLE,
    )
    say(f"  {written.strip()}")
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    rows = Rows(database, folder)
    found = [json.loads(line) for line in journal_day_run(journal_day, "find", folder, stdin=ids).splitlines()]
    compare(found, rows)
    config = work / "day.yaml"
    queue = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
    config.write_text(yaml.safe_dump({"queues": [{"url": queue}], "store": {"url": f"file://{folder}"}}))
    compare_sql(Command(protobridge, config), database, found)


def journal_day_run(program, command, folder, *arguments, stdin=None):
    command = [*map(str, [program, command, "--folder", folder, *arguments])]
    done = subprocess.run(command, input=stdin and stdin.read_text(), capture_output=True, text=True, timeout=200)
    if done.returncode != 0:
        raise SystemExit(f"journal: FAILED: {command}\n{done.stderr}")
    return done.stdout


def as_json(columns, row):
    """Returns a row of DuckDB as `trace --json` writes it."""
    named = dict(zip(columns, row))
    for column in TIMES:
        if named[column] is not None:
            named[column] = named[column].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return named


class Rows:
    """All rows of a store, as DuckDB reads them."""

    def __init__(self, database, folder):
        found = database.sql(
            f"SELECT * EXCLUDE (date, hour) FROM "
            f"read_parquet('{folder}/journal/v1/*/*/*.parquet', hive_partitioning = true)"
        )
        self.columns = found.columns
        self.by_event, self.by_message = {}, {}
        for row in found.fetchall():
            named = as_json(self.columns, row)
            self.by_event.setdefault(named["event_id"], []).append(named)
            self.by_message.setdefault(named["message_id"], []).append(named)


def compare(found, rows):
    """Compares what the reader found with the rows of DuckDB."""
    outcomes, count = {}, 0
    for answer in found:
        pairs = [(answer["by_event"], rows.by_event.get(answer["event"], []))]
        if answer["by_message"] is not None:
            pairs.append((answer["by_message"], rows.by_message.get(answer["message"], [])))
        if any(own != others for own, others in pairs):
            raise SystemExit(f"journal: FAILED: the reader and DuckDB differ: {json.dumps([answer, pairs], indent=1)}")
        for row in pairs[-1][0]:
            outcomes[row["outcome"]] = outcomes.get(row["outcome"], 0) + 1
        count += any(own for own, _ in pairs)
    # A quarantined event has no id, and a busy machine drops some rows.
    is_right = len(found) == SAMPLE and count >= 0.97 * SAMPLE and len(outcomes) == 4
    what = f"  the reader finds the rows of {count} of {SAMPLE} events as DuckDB does"
    check(is_right, f"{what}, in all {len(rows.columns)} columns", outcomes)


def compare_sql(command, database, found):
    """Runs the queries that `trace --sql` prints."""
    count = 0
    for answer in found[:: SAMPLE // QUERIES - 1][:QUERIES]:
        arguments = ["--message-id", answer["message"]] if count % 2 else [answer["event"]]
        query = database.sql(command.run("trace", *arguments, "--sql"))
        rows = [as_json(query.columns, row) for row in query.fetchall()]
        for row in rows:
            # The folders of the layout are columns, too.
            del row["date"], row["hour"]
        own = command.trace(*arguments)["rows"]
        if own != rows:
            raise SystemExit(f"journal: FAILED: `trace` and its query differ: {own} {rows}")
        count += bool(rows)
    check(count >= QUERIES - 2, f"  the query of `trace --sql` finds the rows of `trace --json`, for {count} ids")
