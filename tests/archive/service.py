"""Compares what a producer sent with what DuckDB and pyarrow read from the archive of the service."""

import json
import time

import messages
from kills import MICROS, stamp
from scene import Scene, by_duckdb, by_pyarrow, require
from stage import Command, Replica, say
from world import until

# The messages for each of two queues.
COUNT = 600


def run(protobridge, endpoint, work):
    scene = Scene("service", endpoint, work)
    folder, began = scene.work / "store", stamp(int(time.time() * MICROS))
    config = scene.configure("pod-a", {"url": f"file://{folder}"})
    with Replica(scene, "pod-a", protobridge) as replica:
        replica.start(config)
        ids = scene.send(COUNT)
        scene.until_arrived(ids)
        until("the queues are empty", lambda: scene.left() == 0, scene.logs)
        replica.stop()
    sent = scene.sent()
    for reader, (rows, count) in {"DuckDB": by_duckdb(folder), "pyarrow": by_pyarrow(folder)}.items():
        different = [(rows.get(key), row) for key, row in sent.items() if rows.get(key) != row]
        require(not different and len(rows) == len(sent), f"{reader} reads what was sent", len(rows), *different[:3])
    rows = [dict(zip(["queue", "body", "attributes"], json.loads(row))) for row in sent.values()]
    bytes_of = sum(map(messages.size, rows))
    window = [f"--from={began}", f"--to={stamp(int(time.time() * MICROS))}"]
    stat = json.loads(Command(protobridge, config).run("archive", "stat", *window, "--json"))
    is_right = (stat["messages"], stat["bytes"], stat["gaps"]) == (len(sent), bytes_of, [])
    require(is_right, "`archive stat` counts what was sent", stat, len(sent), bytes_of)
    say(
        f"service: DuckDB and pyarrow read {len(sent)} messages in {count} rows as they were sent, with {bytes_of} "
        "bytes of bodies and attributes, and `archive stat` counts as many"
    )
