"""Compares what a producer sent with what DuckDB and pyarrow read from the archive of the service."""

from scene import Scene, by_duckdb, by_pyarrow, require
from stage import Replica, say
from world import until

# The messages for each of two queues.
COUNT = 600


def run(protobridge, endpoint, work):
    scene = Scene("service", endpoint, work)
    folder = scene.work / "store"
    with Replica(scene, "pod-a", protobridge) as replica:
        replica.start(scene.configure("pod-a", {"url": f"file://{folder}"}))
        ids = scene.send(COUNT)
        scene.until_arrived(ids)
        until("the queues are empty", lambda: scene.left() == 0, scene.logs)
        replica.stop()
    sent = scene.sent()
    for reader, (rows, count) in {"DuckDB": by_duckdb(folder), "pyarrow": by_pyarrow(folder)}.items():
        different = [(rows.get(key), row) for key, row in sent.items() if rows.get(key) != row]
        require(not different and len(rows) == len(sent), f"{reader} reads what was sent", len(rows), *different[:3])
    bytes_of = sum(len(row) for row in sent.values())
    say(f"service: DuckDB and pyarrow read {len(sent)} messages in {count} rows as they were sent, {bytes_of} bytes")
