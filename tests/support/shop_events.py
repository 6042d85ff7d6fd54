"""Random events of the shop, each with its JSON, both written by Python's Protobuf library.

The same seed gives the same events. So a consumer that knows the seed of a producer knows the events that it sent.
"""

import random
import uuid
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor

TYPES = [
    "shop.v1.ChangeEvent",
    "shop.v1.CustomerRegistered",
    "shop.v1.CustomerUpdated",
    "shop.v1.OrderPlaced",
    "shop.v1.OrderShipped",
    "shop.v1.OrderStatusChanged",
    "shop.v1.PaymentCaptured",
    "shop.v1.PaymentFailed",
]

TEXTS = ["", "plain", "Zürich", "日本語", "😀", '"quoted"', "back\\slash", "a\nb\tc\x01\x7f", "\u2028", "<&>", "\ufffe"]
DOUBLES = [0.0, -0.0, 1.0, -1.5, 0.1, 1e21, 1e-7, 5e-324, 1.7976931348623157e308, float("inf"), float("nan")]
# The smallest is a normal number, because Python writes subnormal ones with more digits than necessary.
FLOATS = [0.0, -0.0, 1.0, -1.5, 0.1, 1e21, 1e-7, 1.1754943508222875e-38, 3.4028234663852886e38, float("-inf"), float("nan")]
PATHS = ["email", "display_name", "default_address.postal_code"]

INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


class Event:
    """An event: its type, payload, id, customer, and expected JSON."""

    def __init__(self, message, event_id, customer, pool):
        self.type = message.DESCRIPTOR.full_name
        self.payload = message.SerializeToString()
        self.id = event_id
        self.customer = customer
        self.json = json_format.MessageToDict(message, descriptor_pool=pool)


def events(descriptor_set, seed, count, customers):
    """Yields `count` events, of all types and customers in turn."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(Path(descriptor_set).read_bytes()).file:
        pool.Add(file)
    classes = [message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in TYPES]
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        message = classes[number % len(classes)]()
        fill(message, chance)
        event_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        customer = customers[number % len(customers)]
        about = message.meta if "meta" in message.DESCRIPTOR.fields_by_name else message
        about.event_id, about.tenant_id = event_id, customer
        yield Event(message, event_id, customer, pool)


def same(ours, theirs):
    """Returns whether two JSON values are equal. Unlike `==`, it tells True from 1."""
    number = (int, float)
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, number) and isinstance(theirs, number):
        return ours == theirs
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return type(ours) is type(theirs) and ours == theirs


def fill(message, chance):
    """Sets about two of three fields, to values that are easy to render wrongly."""
    special = SPECIAL.get(message.DESCRIPTOR.full_name)
    if special:
        special(message, chance)
        return
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.35:
            continue
        if is_map(field):
            fill_map(getattr(message, field.name), field, chance)
        elif field.is_repeated:
            for _ in range(chance.randrange(4)):
                if field.message_type:
                    fill(getattr(message, field.name).add(), chance)
                else:
                    getattr(message, field.name).append(scalar(field, chance))
        elif field.message_type:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), chance)
        else:
            setattr(message, field.name, scalar(field, chance))


def is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def fill_map(values, field, chance):
    key_field, value_field = (field.message_type.fields_by_name[name] for name in ("key", "value"))
    for _ in range(chance.randrange(4)):
        key = scalar(key_field, chance)
        if value_field.message_type:
            fill(values[key], chance)
        else:
            values[key] = scalar(value_field, chance)


def scalar(field, chance):
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return chance.random() < 0.5
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        # 99 is a value that the schema does not have.
        return chance.choice([value.number for value in field.enum_type.values] + [99])
    if kind == FieldDescriptor.CPPTYPE_DOUBLE:
        return chance.choice([*DOUBLES, chance.uniform(-1e6, 1e6)])
    if kind == FieldDescriptor.CPPTYPE_FLOAT:
        return chance.choice([*FLOATS, chance.uniform(-1e6, 1e6)])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return chance.randbytes(chance.randrange(40))
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return chance.choice(TEXTS) + chance.choice(["", str(chance.randrange(1000))])
    least, most = INTEGERS[kind]
    return chance.choice([0, 1, least, most, chance.randint(least, most)])


def fill_timestamp(message, chance):
    # The limits are the years 1 and 9999.
    message.seconds = chance.choice([0, -62135596800, 253402300799, chance.randint(0, 2**31)])
    message.nanos = chance.choice([0, 1, 500_000_000, 123_456_000, 999_999_999])


def fill_duration(message, chance):
    sign = chance.choice([-1, 1])
    message.seconds = sign * chance.choice([0, 1, 315_576_000_000, chance.randrange(100_000)])
    limit = abs(message.seconds) == 315_576_000_000
    message.nanos = 0 if limit else sign * chance.choice([0, 1, 500_000_000, 999_999_999])


def fill_field_mask(message, chance):
    message.paths.extend(chance.sample(PATHS, chance.randrange(len(PATHS) + 1)))


def fill_struct(message, chance):
    for _ in range(chance.randrange(4)):
        fill_value(message.fields[chance.choice(TEXTS)], chance, 2)


def fill_value(message, chance, depth=2):
    # A Value must have one kind set. NaN and infinities are left out, because they have no JSON there.
    kind = chance.randrange(6 if depth else 4)
    if kind == 0:
        message.null_value = 0
    elif kind == 1:
        message.bool_value = chance.random() < 0.5
    elif kind == 2:
        message.number_value = chance.choice([0.0, 1.0, -2.5, 1e21, chance.random()])
    elif kind == 3:
        message.string_value = chance.choice(TEXTS)
    elif kind == 4:
        message.list_value.SetInParent()
        for _ in range(chance.randrange(3)):
            fill_value(message.list_value.values.add(), chance, depth - 1)
    else:
        message.struct_value.SetInParent()
        for _ in range(chance.randrange(3)):
            fill_value(message.struct_value.fields[chance.choice(TEXTS)], chance, depth - 1)


SPECIAL = {
    "google.protobuf.Timestamp": fill_timestamp,
    "google.protobuf.Duration": fill_duration,
    "google.protobuf.FieldMask": fill_field_mask,
    "google.protobuf.Struct": fill_struct,
    "google.protobuf.Value": fill_value,
}
