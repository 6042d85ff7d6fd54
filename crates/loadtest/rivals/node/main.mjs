// A consumer that a user would write instead of protobridge, in JavaScript: it receives Protobuf events from SQS, and
// publishes each as JSON to the SNS topic of its customer.
//
// The load test measures it beside protobridge. ../README.md lists the variables that it reads.

import { createInterface } from "node:readline";
import { Consumer } from "./consumer.mjs";
import { Converter } from "./convert.mjs";

const converter = new Converter(process.env.RIVAL_DESCRIPTOR_SET);

if (process.argv.includes("--hard")) {
  await convertLines();
} else {
  const loops = Number(process.env.RIVAL_LOOPS);
  const consumer = new Consumer(converter, loops);
  await Promise.all(Array.from({ length: loops }, () => consumer.loop()));
}

// Converts the payloads on standard input, for the comparison of hard payloads.
async function convertLines() {
  for await (const line of createInterface({ input: process.stdin })) {
    const [eventType, payload] = line.split(" ");
    try {
      console.log("ok", converter.convert(eventType, Buffer.from(payload, "base64")).json);
    } catch (error) {
      console.log("error", error.message.replaceAll("\n", " "));
    }
  }
}
