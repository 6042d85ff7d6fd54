"""The descriptor sets of teams, in versions that add fields, and events of their types."""

import gzip
import hashlib
import random
import uuid
from dataclasses import dataclass

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

# Events have the fields of this version.
LAST_VERSION = 6


@dataclass
class Event:
    """An event of a team's type, with all fields of the last version."""

    id: str
    type: str
    payload: bytes
    customer: str
    number: int

    def json(self, version):
        """Returns the JSON of the event under a version of its set."""
        fields = {f"field{each}": f"{self.number}-{each}" for each in range(1, version + 1)}
        ids = {"eventId": self.id, "tenantId": self.customer, "number": str(self.number)}
        return ids | fields | {"detail": fields}


class Team:
    """A team with one type of events. Its set has two files, both with the fields of the version."""

    def __init__(self, name):
        self.name, self.type = name, f"{name}.v1.Happened"
        self.key = f"{name}/{name}.binpb"
        pool = descriptor_pool.DescriptorPool()
        for file in self.files(LAST_VERSION).file:
            pool.Add(file)
        self.message = message_factory.GetMessageClass(pool.FindMessageTypeByName(self.type))

    def set(self, version, comment=""):
        """Returns the bytes of a version. The comment changes them, and can make them large."""
        files = self.files(version)
        files.file[1].source_code_info.location.add(leading_comments=comment)
        return files.SerializeToString()

    def files(self, version):
        files = descriptor_pb2.FileDescriptorSet()
        detail = self.file(files, "detail")
        fields(detail.message_type.add(name="Detail"), version)
        happened = self.file(files, "happened")
        happened.dependency.append(detail.name)
        message = happened.message_type.add(name="Happened")
        for number, name in enumerate(["event_id", "tenant_id"], 1):
            message.field.add(name=name, number=number, type=Field.TYPE_STRING, label=Field.LABEL_OPTIONAL)
        message.field.add(name="number", number=3, type=Field.TYPE_INT64, label=Field.LABEL_OPTIONAL)
        whole = {"type": Field.TYPE_MESSAGE, "type_name": f".{self.name}.v1.Detail"}
        message.field.add(name="detail", number=4, label=Field.LABEL_OPTIONAL, **whole)
        fields(message, version)
        return files

    def file(self, files, name):
        return files.file.add(name=f"{self.name}/v1/{name}.proto", package=f"{self.name}.v1", syntax="proto3")

    def event(self, number, customer):
        message = self.message(event_id=str(uuid.uuid4()), tenant_id=customer, number=number)
        for each in range(1, LAST_VERSION + 1):
            setattr(message, f"field{each}", f"{number}-{each}")
            setattr(message.detail, f"field{each}", f"{number}-{each}")
        return Event(message.event_id, self.type, message.SerializeToString(), customer, number)


def fields(message, version):
    for each in range(1, version + 1):
        message.field.add(name=f"field{each}", number=10 + each, type=Field.TYPE_STRING, label=Field.LABEL_OPTIONAL)


def comment(chance, length):
    """Returns a random comment, which no compression makes much shorter."""
    return random.Random(chance.random()).randbytes(length // 2).hex()


def hash_of(content):
    """Returns the hash of a set as /schemas shows it, which is that of the content without gzip."""
    content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    return hashlib.sha256(content).hexdigest()[:16]
