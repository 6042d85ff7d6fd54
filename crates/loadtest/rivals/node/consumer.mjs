// Receives, publishes and deletes.

import { Agent } from "node:http";
import { PublishBatchCommand, SNSClient } from "@aws-sdk/client-sns";
import { DeleteMessageBatchCommand, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { NodeHttpHandler } from "@smithy/node-http-handler";

// The most bytes that one publish can carry.
const MAX_BYTES = 256 * 1024;
// An upper bound for the attributes of one message, in bytes.
const ATTRIBUTE_BYTES = 512;

export class Consumer {
  #sqs;
  #sns;
  #queueUrl = process.env.RIVAL_QUEUE_URL;
  #topicTemplate = process.env.RIVAL_TOPIC_TEMPLATE;
  #converter;

  constructor(converter, loops) {
    this.#converter = converter;
    // The default is 50 connections, which is too few for loops that publish to several topics at once.
    const agent = () => new Agent({ keepAlive: true, maxSockets: 10 * loops });
    const shared = () => ({
      region: "eu-west-1",
      endpoint: process.env.RIVAL_ENDPOINT,
      requestHandler: new NodeHttpHandler({ httpAgent: agent() }),
    });
    this.#sqs = new SQSClient(shared());
    this.#sns = new SNSClient(shared());
  }

  async loop() {
    for (;;) {
      try {
        await this.#pass();
      } catch (error) {
        // The messages stay on the queue, and return after their visibility timeout.
        console.error(`a batch failed: ${error}`);
      }
    }
  }

  // Receives up to ten messages, publishes them and deletes those that were published.
  async #pass() {
    const { Messages: messages = [] } = await this.#sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: this.#queueUrl,
        MaxNumberOfMessages: 10,
        WaitTimeSeconds: 20,
        MessageAttributeNames: ["All"],
      }),
    );
    const topics = new Map();
    messages.forEach((message, index) => {
      try {
        const { topic, ...outgoing } = this.#outgoing(index, message);
        topics.set(topic, [...(topics.get(topic) ?? []), outgoing]);
      } catch (error) {
        // The message returns until the redrive policy of the queue moves it to the dead-letter queue.
        console.error(`a message cannot be converted: ${error}`);
      }
    });
    const published = await Promise.all(Array.from(topics, ([topic, batch]) => this.#publish(topic, batch)));
    await this.#delete(published.flat());
  }

  // Converts a message. Returns the topic, the entry to publish, and the receipt handle.
  #outgoing(index, message) {
    const attribute = (name) => {
      const value = message.MessageAttributes?.[name]?.StringValue;
      if (value === undefined) {
        throw new Error(`the message has no attribute ${name}`);
      }
      return value;
    };
    const eventType = attribute("message-type");
    const customer = attribute("customer-id");
    const { json, time } = this.#converter.convert(eventType, Buffer.from(message.Body, "base64"));
    const attributes = {
      "event-id": attribute("event-id"),
      "event-type": eventType,
      "customer-id": customer,
      "event-time": time,
      "content-type": "application/json",
      "schema-hash": this.#converter.schemaHash,
    };
    // SNS refuses an attribute without a value.
    const present = Object.entries(attributes).filter(([, value]) => value !== undefined);
    const text = ([name, value]) => [name, { DataType: "String", StringValue: value }];
    return {
      topic: this.#topicTemplate.replace("{customer}", customer),
      entry: { Id: String(index), Message: json, MessageAttributes: Object.fromEntries(present.map(text)) },
      receiptHandle: message.ReceiptHandle,
    };
  }

  // Publishes the messages, in several calls if they do not fit into one. Returns the receipt handles of those that SNS
  // accepted.
  async #publish(topic, batch) {
    const handles = new Map(batch.map(({ entry, receiptHandle }) => [entry.Id, receiptHandle]));
    const accepted = [];
    for (const entries of calls(batch.map(({ entry }) => entry))) {
      try {
        const command = new PublishBatchCommand({ TopicArn: topic, PublishBatchRequestEntries: entries });
        const { Successful: successful = [], Failed: failed = [] } = await this.#sns.send(command);
        accepted.push(...successful.map(({ Id: id }) => handles.get(id)));
        failed.forEach(({ Code: code }) => console.error(`SNS refused an entry for ${topic}: ${code}`));
      } catch (error) {
        console.error(`cannot publish to ${topic}: ${error}`);
      }
    }
    return accepted;
  }

  async #delete(receiptHandles) {
    if (receiptHandles.length === 0) {
      return;
    }
    const entries = receiptHandles.map((handle, index) => ({ Id: String(index), ReceiptHandle: handle }));
    const command = new DeleteMessageBatchCommand({ QueueUrl: this.#queueUrl, Entries: entries });
    const { Failed: failed = [] } = await this.#sqs.send(command);
    failed.forEach(({ Code: code }) => console.error(`SQS did not delete a message: ${code}`));
  }
}

// Splits entries into calls that are not too large.
function calls(entries) {
  const calls = [[]];
  let bytes = 0;
  for (const entry of entries) {
    const size = Buffer.byteLength(entry.Message) + ATTRIBUTE_BYTES;
    if (bytes + size > MAX_BYTES && bytes > 0) {
      calls.push([]);
      bytes = 0;
    }
    bytes += size;
    calls.at(-1).push(entry);
  }
  return calls;
}
