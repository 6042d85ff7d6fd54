"""Wraps an event in one or more forms, with the encoders that producers use. The first form is the innermost.

Reads the event in the Protobuf wire format from standard input. Writes a JSON object: `payload` is the wrapped event in
base64, and `schemas` has the registered schemas by id, in the format of a schema registry.
"""

import argparse
import base64
import gzip
import json
import sys
from pathlib import Path

import zstandard
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

parser = argparse.ArgumentParser()
parser.add_argument("--descriptor-set", required=True)
parser.add_argument("--type", required=True)
parser.add_argument("--attribute", action="append", default=[], help="an attribute of the CloudEvent, as NAME=VALUE")
parser.add_argument("form", nargs="+")
args = parser.parse_args()

schemas = {}


def cloud_event_class():
    """Builds the class of the CloudEvent message of the CloudEvents specification."""
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, timestamp_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(name="cloudevents.proto", package="io.cloudevents.v1", syntax="proto3")
    file.dependency.extend(["google/protobuf/any.proto", "google/protobuf/timestamp.proto"])
    event = file.message_type.add(name="CloudEvent")
    event.oneof_decl.add(name="data")
    names = ["id", "source", "spec_version", "type"]
    for number, name in enumerate(names, 1):
        field(event, name, number, FieldDescriptorProto.TYPE_STRING)
    entry = ".io.cloudevents.v1.CloudEvent.AttributesEntry"
    attributes = field(event, "attributes", 5, FieldDescriptorProto.TYPE_MESSAGE, entry)
    attributes.label = FieldDescriptorProto.LABEL_REPEATED
    field(event, "binary_data", 6, FieldDescriptorProto.TYPE_BYTES).oneof_index = 0
    field(event, "text_data", 7, FieldDescriptorProto.TYPE_STRING).oneof_index = 0
    field(event, "proto_data", 8, FieldDescriptorProto.TYPE_MESSAGE, ".google.protobuf.Any").oneof_index = 0

    value = event.nested_type.add(name="CloudEventAttributeValue")
    value.oneof_decl.add(name="attr")
    kinds = ["bool", "int32", "string", "bytes", "string", "string", "message"]
    names = ["boolean", "integer", "string", "bytes", "uri", "uri_ref", "timestamp"]
    for number, (name, kind) in enumerate(zip(names, kinds), 1):
        kind = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")
        other = ".google.protobuf.Timestamp" if name == "timestamp" else None
        field(value, f"ce_{name}", number, kind, other).oneof_index = 0

    entry = event.nested_type.add(name="AttributesEntry")
    entry.options.map_entry = True
    field(entry, "key", 1, FieldDescriptorProto.TYPE_STRING)
    other = ".io.cloudevents.v1.CloudEvent.CloudEventAttributeValue"
    field(entry, "value", 2, FieldDescriptorProto.TYPE_MESSAGE, other)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("io.cloudevents.v1.CloudEvent"))


def field(message, name, number, kind, other=None):
    optional = FieldDescriptorProto.LABEL_OPTIONAL
    return message.field.add(name=name, number=number, type=kind, type_name=other, label=optional)


def cloud_event():
    event = cloud_event_class()(spec_version="1.0", id="42", source="https://shop.example/orders")
    event.type = "com.example.happened"
    for attribute in args.attribute:
        name, value = attribute.split("=", 1)
        if name in ("id", "source", "type"):
            setattr(event, name, value)
        elif name == "time":
            event.attributes[name].ce_timestamp.FromJsonString(value)
        elif name == "dataschema":
            event.attributes[name].ce_uri = value
        else:
            event.attributes[name].ce_string = value
    return event


def message(payload):
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(Path(args.descriptor_set).read_bytes()).file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(args.type)).FromString(payload)


def as_any(payload):
    packed = any_pb2.Any()
    packed.Pack(message(payload))
    return packed


def cloud_event_with_binary_data(payload):
    event = cloud_event()
    event.binary_data = payload
    return event.SerializeToString()


def cloud_event_with_proto_data(payload):
    event = cloud_event()
    event.proto_data.MergeFromString(as_any(payload).SerializeToString())
    return event.SerializeToString()


def confluent(payload):
    client = SchemaRegistryClient.new_client({"url": "mock://registry"})
    event = message(payload)
    serializer = ProtobufSerializer(type(event), client, {"use.deprecated.format": False})
    framed = serializer(event, SerializationContext("events", MessageField.VALUE))
    last = int.from_bytes(framed[1:5], "big")
    for number in range(1, last + 1):
        schema = client.get_schema(number)
        schemas[number] = {"schemaType": schema.schema_type, "schema": schema.schema_str}
    return framed


FORMS = {
    "any": lambda payload: as_any(payload).SerializeToString(),
    "cloudevents-binary": cloud_event_with_binary_data,
    "cloudevents-proto": cloud_event_with_proto_data,
    "confluent": confluent,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(level=19).compress,
}

payload = sys.stdin.buffer.read()
for form in args.form:
    payload = FORMS[form](payload)
json.dump({"payload": base64.b64encode(payload).decode(), "schemas": schemas}, sys.stdout)
