"""Compares segments that the service's own code wrote with what DuckDB, pyarrow and `protobridge archive` read."""

import base64
import json
import os
import random
import subprocess
from collections import Counter
from pathlib import Path

import duckdb
import pyarrow.dataset
import pyarrow.parquet
import yaml

import messages
from stage import check

COUNT = 6_000
TIMES = ["sent_at", "first_received_at", "received_at", "settled_at"]
WINDOW = ["--from", "2026-11-28T12:00:00Z", "--to", "2026-11-28T12:01:00Z"]

def run(protobridge, archive_day, work, seed):
    work = work / "format"
    work.mkdir()
    sent = messages.make(random.Random(seed), COUNT)
    folder = work / "store"
    lines = "".join(json.dumps(each) + "\n" for each in sent)
    command = [archive_day, "--folder", folder, "--replicas", "2"]
    subprocess.run(command, input=lines, text=True, check=True, timeout=200)
    keys = sorted(path.relative_to(folder) for path in folder.rglob("*.parquet"))
    check(len(keys) == 2 * messages.SECONDS, f"{len(sent)} receives of {COUNT} messages are in {len(keys)} segments")
    expected = sorted(map(canonical, sent))
    with_duckdb(folder, sent, expected)
    with_pyarrow(folder, keys, sent, expected)
    config = work / "protobridge.yaml"
    queue = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
    config.write_text(yaml.safe_dump({"queues": [{"url": queue}], "store": {"url": f"file://{folder}"}}))
    with_protobridge(protobridge, config, folder, keys, sent)


def canonical(row):
    """Returns a message as a text that can be compared and sorted."""
    return json.dumps(row, sort_keys=True)


def decoded(row):
    """Returns a row of the archive as the message that was sent."""
    row = {name: value for name, value in row.items() if name not in ["date", "hour", "body_encoding"]} | {
        "body": base64.b64encode(row["body"]).decode() if row["body_encoding"] == "base64" else row["body"].decode(),
        "attributes": json.loads(row["attributes"]),
    }
    return canonical(row)


def with_duckdb(folder, sent, expected):
    database = duckdb.connect()
    times = ", ".join(f"epoch_us({name}) AS {name}" for name in TIMES)
    files = f"read_parquet('{folder}/archive/v1/*/*/*.parquet', hive_partitioning = true)"
    found = database.sql(f"SELECT * REPLACE ({times}) FROM {files}")
    rows = sorted(decoded(dict(zip(found.columns, row))) for row in found.fetchall())
    check(rows == expected, f"DuckDB reads the {len(rows)} receives as the producer sent them, in all columns")
    own = database.sql(f"""
        SELECT count(DISTINCT message_id), sum(if(body_encoding = 'text', octet_length(body),
            4 * ceil(octet_length(body) / 3)))::BIGINT, count(*) FILTER (body_encoding = 'base64') FROM {files}
    """).fetchall()[0]
    bodies = sum(len(each["body"].encode()) for each in sent)
    check(own[:2] == (COUNT, bodies), f"DuckDB counts {COUNT} messages and {bodies} bytes of bodies", own)
    check(len(sent) / 4 < own[2] < len(sent) / 2, f"{own[2]} bodies are stored without base64")


def with_pyarrow(folder, keys, sent, expected):
    table = pyarrow.dataset.dataset(folder / "archive/v1", partitioning="hive").to_table()
    for name in TIMES:
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, table[name].cast("int64"))
    rows = sorted(map(decoded, table.to_pylist()))
    check(rows == expected, f"pyarrow reads the {len(rows)} receives as the producer sent them, in all columns")
    for key in keys:
        file = pyarrow.parquet.ParquetFile(folder / key)
        declared = {name.decode(): value.decode() for name, value in file.metadata.metadata.items()}
        places = file.read(columns=["sent_at", "sequence_number", "message_id"]).to_pylist()
        order = [(place["sent_at"], int(place["sequence_number"] or 0), place["message_id"]) for place in places]
        bounds = file.metadata.row_group(0).column(3).statistics
        is_right = (
            int(declared["protobridge.rows"]) == file.metadata.num_rows == int(key.stem.split("-")[-3])
            and order == sorted(order)
            and bounds.min == order[0][0]
            and json.loads(declared["protobridge.lost"]) == []
        )
        if not is_right:
            check(False, f"pyarrow finds the declaration of {key}", declared)
    check(True, f"pyarrow finds the declared number of sorted rows in each of {len(keys)} segments")


def with_protobridge(protobridge, config, folder, keys, sent):
    def run(command, code=0):
        words = [protobridge, "archive", command, *WINDOW, "--json", "--config", config]
        done = subprocess.run(words, capture_output=True, text=True, timeout=200, env=os.environ | {"NO_COLOR": "1"})
        check(done.returncode == code, f"`archive {command}` exits with {code}", done.returncode, done.stderr)
        return json.loads(done.stdout)

    listed = run("ls")["segments"]
    declared = sorted((each["key"], each["messages"], each["bytes"]) for each in listed)
    stored = [(str(key), int(key.stem.split("-")[-3]), (folder / key).stat().st_size) for key in keys]
    check(declared == sorted(stored), f"`archive ls` lists the {len(keys)} segments with their sizes")

    once = {each["message_id"]: each for each in sent}
    counts, sizes = Counter(), Counter()
    for each in once.values():
        counts[each["queue"], each["event_type"]] += 1
        sizes[each["queue"], each["event_type"]] += messages.size(each)
    stat = run("stat")
    groups = {(each["queue"], each["event_type"]): (each["messages"], each["bytes"]) for each in stat["groups"]}
    expected = {group: (counts[group], sizes[group]) for group in counts}
    check(groups == expected, f"`archive stat` counts the {COUNT} messages and their bytes by queue and type", groups)

    verified = run("verify")
    check(verified["damaged"] == verified["gaps"] == [], f"`archive verify` reads {verified['messages']} rows")
    bad, gone = folder / keys[3], folder / keys[8]
    bytes_of = bytearray(bad.read_bytes())
    bytes_of[len(bytes_of) // 2] ^= 0xFF
    bad.write_bytes(bytes_of[: len(bytes_of) // 2 + 1])
    gone.unlink()
    verified = run("verify", 1)
    damaged = [each["key"] for each in verified["damaged"]]
    check(damaged == [str(keys[3])], "`archive verify` finds half of a segment", verified["damaged"])
    kinds = [(each["replica"], each["kind"]) for each in verified["gaps"]]
    replica = "-".join(gone.stem.split("-")[1:3])
    check(kinds == [(replica, "missing")], "`archive verify` finds that a segment is gone", kinds)
