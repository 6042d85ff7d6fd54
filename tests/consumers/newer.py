"""Makes a newer version of the shop's descriptor set, and events that use what it adds.

Every message gets one more field, and every enum one more value. Reads events of the present version from standard input
(`TYPE<TAB>JSON`) and writes one event per type, with each addition at each place where a message or an enum is, as
`TYPE<TAB>BASE64`.

    newer.py PRESENT_SET NEWER_SET < EVENTS
"""

import base64
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

FIELD, VALUE = 9_999, 999


def extend(message):
    """Adds a field to a message type and its nested types, and a value to its enums."""
    if not message.options.map_entry:
        message.field.add(name="added_later", number=FIELD, type=9, label=1, json_name="addedLater")
    for nested in message.nested_type:
        extend(nested)
    for enum in message.enum_type:
        enum.value.add(name=f"{enum.value[0].name}_ADDED_LATER", number=VALUE)


def fill(message):
    """Sets the added field, and the added value of each enum that is set, at every depth."""
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            inside = field.message_type.fields_by_name["value"]
            if inside.message_type and inside.message_type.file.package.startswith("shop"):
                for item in value.values():
                    fill(item)
        elif field.message_type and field.message_type.file.package.startswith("shop"):
            for item in value if field.is_repeated else [value]:
                fill(item)
        elif field.enum_type and not field.is_repeated and field.enum_type.file.package.startswith("shop"):
            setattr(message, field.name, VALUE)
    message.added_later = "new"


present, newer = map(Path, sys.argv[1:])
files = descriptor_pb2.FileDescriptorSet.FromString(present.read_bytes())
for file in files.file:
    if file.package.startswith("shop"):
        for message in file.message_type:
            extend(message)
        for enum in file.enum_type:
            enum.value.add(name=f"{enum.value[0].name}_ADDED_LATER", number=VALUE)
newer.write_bytes(files.SerializeToString())

pool = descriptor_pool.DescriptorPool()
for file in files.file:
    pool.Add(file)
seen = set()
for line in sys.stdin:
    name, json = line.rstrip("\n").split("\t", 1)
    if name.startswith("shop.") and name not in seen:
        seen.add(name)
        message = json_format.Parse(json, message_factory.GetMessageClass(pool.FindMessageTypeByName(name))())
        fill(message)
        print(name, base64.b64encode(message.SerializeToString()).decode(), sep="\t")
