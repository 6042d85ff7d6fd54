// From a Protobuf payload to JSON, with the descriptor set that is read at the start.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

// The fields of which the first that is present is the time of an event.
const TIME_FIELDS = ["eventTime", "sentAt"];

export class Converter {
  #registry;
  #options;

  constructor(path) {
    const set = readFileSync(path);
    this.#registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, set));
    this.#options = { registry: this.#registry };
    // The first 16 hexadecimal digits of the descriptor set's SHA-256.
    this.schemaHash = createHash("sha256").update(set).digest("hex").slice(0, 16);
  }

  // Returns the JSON and the time of the event; the time is undefined if it has none.
  convert(eventType, payload) {
    const schema = this.#registry.getMessage(eventType);
    if (schema === undefined) {
      throw new Error(`unknown type ${eventType}`);
    }
    const value = toJson(schema, fromBinary(schema, payload, { readUnknownFields: false }), this.#options);
    const field = TIME_FIELDS.find((name) => value[name] !== undefined);
    return { json: JSON.stringify(value), time: value[field] };
  }
}
