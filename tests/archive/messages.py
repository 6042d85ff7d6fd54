"""The messages of a producer, as it sent them, and what was found out about them."""

import base64
import json
from datetime import datetime, timezone

BEGIN = int(datetime(2026, 11, 28, 12, tzinfo=timezone.utc).timestamp())
SECONDS = 10
SECOND = 1_000_000
QUEUES = ["events", "orders", "stock.fifo"]
TYPES = ["shop.v1.OrderPlaced", "shop.v1.StockMoved"]
OUTCOMES = ["published", "duplicate", "filtered", "quarantined"]


def make(random, count):
    """Returns messages, some of them received twice, as the columns of the archive have them. `body` is the text."""
    sent = [message(random, number) for number in range(count)]
    again = [received(random, dict(each, receive_count=2)) for each in random.sample(sent, count // 20)]
    both = sent + again
    random.shuffle(both)
    return both


def message(random, number):
    queue = random.choice(QUEUES)
    is_fifo, is_known = queue.endswith(".fifo"), random.random() < 0.9
    return received(random, {
        "queue": queue,
        "message_id": f"{random.getrandbits(128):032x}",
        "receive_count": 1,
        # SQS gives milliseconds, and many messages have the same one.
        "sent_at": BEGIN * SECOND - 1_000 * random.randrange(1_000),
        "group": f"group-{random.randrange(9)}" if is_fifo or number % 11 == 0 else None,
        "dedup_id": f"dedup-{number}" if is_fifo else None,
        "sequence_number": f"188{random.randrange(10**17):017}" if is_fifo else None,
        "trace_header": f"Root=1-5759e988-{number:024x}" if number % 5 == 0 else None,
        "body": body(random, number),
        "attributes": attributes(random, number),
        "event_id": f"event-{number}" if is_known else None,
        "event_type": random.choice(TYPES) if is_known else None,
        "customer": random.choice(["acme", "hooli", None]) if is_known else None,
        "schema_hash": "sha256:" + "ab" * 32 if is_known else None,
        "outcome": random.choice(OUTCOMES),
    })


def received(random, sent):
    """Returns a message with the times of one receive."""
    first = sent.get("first_received_at") or sent["sent_at"] + random.randrange(3) * 1_000
    settled = BEGIN * SECOND + random.randrange(SECONDS * SECOND)
    return sent | {"first_received_at": first, "received_at": settled - random.randrange(SECOND), "settled_at": settled}


def body(random, number):
    size = 200_000 if number % 500 == 7 else random.randrange(1, 1_500)
    if number % 3 == 0:
        return base64.b64encode(random.randbytes(size)).decode()
    if number % 3 == 1:
        return json.dumps({"number": number, "text": "ä€😀\n" * (size // 20)}, ensure_ascii=number % 2 == 0)
    # Almost base64: without its padding, with a line break, in the other alphabet, with other bits at the end.
    odd = base64.b64encode(random.randbytes(size - size % 3 + 1)).decode()
    other = base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode()
    return [odd.rstrip("="), odd + "\n", other, "AAF=", "=", " "][number // 3 % 6]


def attributes(random, number):
    if number % 4 == 0:
        return {}
    names = [f"name-{index}" for index in range(10 if number % 4 == 1 else random.randrange(1, 10))]
    kinds = [
        lambda: {"type": "String", "value": "Zwölf \"Affen\" \\ \t\n€"},
        lambda: {"type": "Number.int", "value": str(number)},
        lambda: {"type": "Binary", "base64": base64.b64encode(random.randbytes(random.randrange(40))).decode()},
        lambda: {"type": "String.custom", "value": f"v{number}"},
    ]
    return {name: random.choice(kinds)() for name in names}


def size(sent):
    """Returns the size of a message as SQS counts it."""
    total = len(sent["body"].encode())
    for name, value in sent["attributes"].items():
        content = base64.b64decode(value["base64"]) if "base64" in value else value["value"].encode()
        total += len(name.encode()) + len(value["type"]) + len(content)
    return total
