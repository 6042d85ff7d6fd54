"""From a Protobuf payload to JSON, with the descriptor set that is read at the start."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

# The fields of which the first that is present is the time of an event.
TIME_FIELDS = ("eventTime", "sentAt")


@dataclass(slots=True)
class Event:
    json: str
    # The time of the event; None if it has none.
    time: str | None


class Converter:
    def __init__(self, path: str) -> None:
        content = Path(path).read_bytes()
        self._pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(content).file:
            self._pool.Add(file)
        self._classes: dict[str, type] = {}
        # The first 16 hexadecimal digits of the descriptor set's SHA-256.
        self.schema_hash = hashlib.sha256(content).hexdigest()[:16]

    def convert(self, event_type: str, payload: bytes) -> Event:
        message = self._class(event_type).FromString(payload)
        value = json_format.MessageToDict(message, descriptor_pool=self._pool)
        time = next((value[field] for field in TIME_FIELDS if field in value), None)
        return Event(json.dumps(value, ensure_ascii=False, separators=(",", ":")), time)

    def _class(self, event_type: str) -> type:
        known = self._classes.get(event_type)
        if known is None:
            known = message_factory.GetMessageClass(self._pool.FindMessageTypeByName(event_type))
            self._classes[event_type] = known
        return known
