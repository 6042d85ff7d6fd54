"""Generates bin/*.bin and index.txt; see README.md."""

import random
import struct
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HERE = Path(__file__).resolve().parent
R = random.Random(42)
WORDS = """the of and to in is was for that on with as order customer shipped pending payment invoice update record
account balance region cluster warehouse item delivery address street status created modified user service session
request latency error retry queue broker partition offset""".split()


def main():
    descriptors = compile_schema()
    sets = {
        "change": ("bench.ChangeEvent", [change(descriptors) for _ in range(64)]),
        "strings": ("bench.Document", [document(descriptors) for _ in range(16)]),
        "numbers": ("bench.Metrics", [metrics(descriptors) for _ in range(16)]),
        "deep": ("bench.Node", [node(descriptors) for _ in range(32)]),
        "heartbeat": ("bench.Heartbeat", [heartbeat(descriptors) for _ in range(64)]),
        "bytes": ("bench.Blob", [blob(descriptors) for _ in range(16)]),
    }
    sets = {name: (kind, [m.SerializeToString() for m in messages]) for name, (kind, messages) in sets.items()}
    kind, events = sets["change"]
    shuffle = random.Random(7)
    sets["change_shuf"] = (kind, [shuffled(event, shuffle) for event in events])
    for name, (kind, payloads) in sets.items():
        records = b"".join(struct.pack("<I", len(payload)) + payload for payload in payloads)
        (HERE / "bin" / f"{name}.bin").write_bytes(records)
        print(f"{name}: {len(payloads)} of {kind}, {len(records) / len(payloads) - 4:.1f} bytes each")
    (HERE / "index.txt").write_text("".join(f"{name} {kind}\n" for name, (kind, _) in sets.items()))


def compile_schema():
    """Returns a function from a full name to its message class."""
    with tempfile.NamedTemporaryFile(suffix=".binpb") as out:
        protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{HERE / 'proto'}", "--include_imports"]
        subprocess.check_call([*protoc, f"-o{out.name}", "corpus.proto"])
        files = descriptor_pb2.FileDescriptorSet.FromString(Path(out.name).read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def words(count):
    return " ".join(R.choice(WORDS) for _ in range(count))


def person():
    first = R.choice(["Anna", "Bob", "Chloé", "Dmitri", "Eve", "Farid", "José", "Grace"])
    return first + " " + R.choice(["Smith", "Müller", "O'Brien", "Kowalski", "Nguyen", "Lopez"])


def moment(timestamp):
    timestamp.seconds = 1_700_000_000 + R.randrange(80_000_000)
    fractions = [0, R.randrange(1000) * 1_000_000, R.randrange(10**6) * 1000, R.randrange(10**6) * 1000]
    timestamp.nanos = R.choice(fractions)


def row(row, base):
    columns = [
        ("id", 20),
        ("email", 25),
        ("full_name", 25),
        ("balance", 701),
        ("active", 16),
        ("updated_at", 1184),
        ("notes", 25),
    ]
    for name, oid in columns:
        column = row.columns.add()
        column.column_name = name
        column.type_oid = oid
        match name:
            case "id":
                column.int_value = base
            case "email":
                column.string_value = f"user{base % 100000}@example.com"
            case "full_name":
                column.string_value = person()
            case "balance":
                column.double_value = round(R.uniform(0, 100000), 2)
            case "active":
                column.bool_value = R.random() < 0.8
            case "updated_at":
                moment(column.timestamp_value)
            case "notes":
                text = words(R.randrange(3, 9))
                if R.random() < 0.25:
                    text = text[:10] + '"quoted"\n' + text[10:]
                column.string_value = text
    row.attributes["charset"] = "utf8mb4"
    row.attributes["storage"] = R.choice(["innodb", "heap"])
    row.row_version = R.randrange(1, 5000)


def change(descriptors):
    m = descriptors("bench.ChangeEvent")()
    m.event_id = R.randrange(1 << 50)
    m.transaction_id = R.randrange(1 << 40)
    m.log_sequence_number = R.randrange(1 << 60)
    m.tenant_id = f"tenant-{R.randrange(99999):05}"
    m.trace_id = "".join(R.choice("0123456789abcdef") for _ in range(32))
    m.op = R.choice([1, 2, 2, 2, 3])
    moment(m.event_time)
    moment(m.commit_time)
    m.replication_lag.nanos = R.randrange(999) * 1_000_000
    m.replication_lag.seconds = R.randrange(3)
    source = m.source
    source.connector = "mysql"
    source.cluster_name = f"prod-eu-{R.randrange(9)}"
    source.db_name = "orders"
    source.schema_name = "public"
    source.table_name = R.choice(["customers", "orders", "invoices"])
    source.server_id = R.randrange(1 << 31)
    source.gtid = f"{uuid.UUID(int=R.getrandbits(128))}:{R.randrange(10**6)}"
    source.log_pos = R.randrange(1 << 34)
    source.is_snapshot = R.random() < 0.1
    base = R.randrange(1 << 33)
    if m.op != 1:
        row(m.before, base)
    if m.op != 3:
        row(m.after, base)
    m.changed_columns.extend(R.sample(["email", "full_name", "balance", "active", "updated_at"], R.randrange(1, 4)))
    m.headers["content-type"] = "application/x-protobuf"
    m.headers["source-host"] = f"db-{R.randrange(30):02}.internal"
    m.counters["bytes"] = R.randrange(10**6)
    m.counters["rows"] = R.randrange(10) + 1
    m.schema_version = R.randrange(1, 40)
    m.partition = R.randrange(1, 64)
    m.offset = R.randrange(1 << 36)
    m.is_replay = R.random() < 0.1
    m.sampling_rate = R.choice([0.5, 0.1, 1.0, 0.25])
    m.actor_user_name = person()
    m.affected_row_ids.extend(R.randrange(1 << 33) for _ in range(R.randrange(1, 4)))
    m.checksum = R.getrandbits(64)
    if R.random() < 0.5:
        m.comment.value = words(4)
    m.region = "eu-central-1"
    return m


def document(descriptors):
    m = descriptors("bench.Document")()
    m.document_id = str(uuid.UUID(int=R.getrandbits(128)))
    m.title = words(8)
    m.source_url = f"https://example.com/docs/{R.randrange(10**6)}?x=1&y=2"
    while m.ByteSize() < 7700:
        text = words(R.randrange(40, 120))
        if R.random() < 0.5:
            text = text.replace(" status ", ' "status" ').replace(" error ", " error\n")
        if R.random() < 0.15:
            text = text.replace("o", "ö").replace(" is ", " ist — ")
        if R.random() < 0.05:
            text += " 日本語のテキスト 😀"
        m.paragraphs.append(text)
    for k in range(4):
        m.labels[f"label_{k}"] = words(3)
    m.tags.extend(words(1) for _ in range(12))
    return m


def metrics(descriptors):
    m = descriptors("bench.Metrics")()
    m.series_id = R.randrange(1 << 45)
    t = 1_700_000_000_000 + R.randrange(10**9)
    for i in range(400):
        m.samples.append(R.gauss(50, 20) if i % 2 else round(R.uniform(0, 1000), 2))
        t += R.randrange(900, 1100)
        m.timestamps_ms.append(t)
    m.deltas.extend(R.randrange(-2000, 2000) for _ in range(400))
    m.weights.extend(R.random() for _ in range(150))
    m.bucket_counts.extend(R.randrange(1 << R.randrange(1, 50)) for _ in range(150))
    m.min_value = min(m.samples)
    m.max_value = max(m.samples)
    return m


def node(descriptors):
    m = descriptors("bench.Node")()
    level = m
    for depth in range(40):
        level.node_id = R.randrange(1, 100000)
        level.kind = R.choice(["branch", "folder", "group"])
        if depth % 4 == 0:
            for _ in range(3):
                child = level.children.add()
                child.node_id = R.randrange(1, 1000)
                child.kind = "leaf"
                child.leaf = True
        level = level.child
    level.node_id = 1
    level.kind = "bottom"
    level.leaf = True
    return m


def heartbeat(descriptors):
    m = descriptors("bench.Heartbeat")()
    m.sequence = R.randrange(1 << 32)
    moment(m.sent_at)
    m.host_name = f"host-{R.randrange(999):03}.eu.internal"
    m.healthy = True
    m.queue_depth = R.randrange(0, 500)
    return m


def blob(descriptors):
    m = descriptors("bench.Blob")()
    m.object_key = f"objects/2024/{R.getrandbits(32):08x}.bin"
    m.content = R.randbytes(6000 + R.randrange(500))
    m.sha256 = R.randbytes(32)
    m.chunks.extend(R.randbytes(R.randrange(100, 500)) for _ in range(6))
    m.size_bytes = len(m.content)
    return m


def shuffled(payload, random):
    """Returns the top-level records of a payload in random order."""
    records = []
    at = 0
    while at < len(payload):
        start = at
        tag, at = varint(payload, at)
        match tag & 7:
            case 0:
                _, at = varint(payload, at)
            case 1:
                at += 8
            case 5:
                at += 4
            case _:
                length, at = varint(payload, at)
                at += length
        records.append(payload[start:at])
    random.shuffle(records)
    return b"".join(records)


def varint(payload, at):
    value = shift = 0
    while True:
        byte = payload[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


if __name__ == "__main__":
    main()
