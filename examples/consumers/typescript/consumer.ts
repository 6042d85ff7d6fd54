// Reads the events of a queue and acts once on each: adds up the revenue of placed orders, by currency.
//
//     QUEUE_URL=https://sqs.eu-west-1.amazonaws.com/210987654321/events node consumer.ts
//
// The queue is subscribed with raw message delivery. The act and the identity of its event are stored in one transaction,
// in the SQLite file DATABASE (`consumer.db` if unset). STOP_WHEN_IDLE=1 ends the program when the queue is empty.
// PRINT_EVENTS=1 prints the type, the id and the SHA-256 of the JSON of each event that the program acts on.

import { createHash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { DeleteMessageCommand, type Message, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';

/** The part of shop.v1.OrderPlaced that this program reads. docs/consumers.md has the commands that generate types. */
interface OrderPlaced {
  orderId?: string;
  status?: 'ORDER_STATUS_PENDING' | 'ORDER_STATUS_PAID' | string | number;
  total?: { currency?: string; amountMinor?: string };
}

const queueUrl = process.env.QUEUE_URL;
if (!queueUrl) throw new Error('set QUEUE_URL');
const stopWhenIdle = process.env.STOP_WHEN_IDLE === '1';
const printEvents = process.env.PRINT_EVENTS === '1';

const database = new DatabaseSync(process.env.DATABASE ?? 'consumer.db');
database.exec('CREATE TABLE IF NOT EXISTS seen (event_type TEXT, event_id TEXT, PRIMARY KEY (event_type, event_id))');
// The amounts are text, because an amount of 64 bits can grow beyond 64 bits.
database.exec('CREATE TABLE IF NOT EXISTS revenue (currency TEXT PRIMARY KEY, minor TEXT)');
const remember = database.prepare('INSERT OR IGNORE INTO seen VALUES (?, ?)');
const select = database.prepare('SELECT minor FROM revenue WHERE currency = ?');
const store = database.prepare('INSERT OR REPLACE INTO revenue VALUES (?, ?)');

/** The body of the message of a large event: a class name, and the object that has the JSON. */
type Pointer = [className: string, object: { s3BucketName: string; s3Key: string }];

const s3 = new S3Client({});

/** Returns the JSON of an event. The JSON of a large event is an object in S3, and the body points to it. */
async function jsonOf(message: Message): Promise<string> {
  const body = message.Body ?? '';
  if (!message.MessageAttributes?.ExtendedPayloadSize) return body;
  const [, { s3BucketName, s3Key }]: Pointer = JSON.parse(body);
  const object = await s3.send(new GetObjectCommand({ Bucket: s3BucketName, Key: s3Key }));
  if (!object.Body) throw new Error(`the object ${s3Key} has no body`);
  return object.Body.transformToString();
}

/** Acts on one event. Ignores types and fields that it does not know. */
function act(eventType: string, body: string): void {
  if (eventType !== 'shop.v1.OrderPlaced') return;
  const order: OrderPlaced = JSON.parse(body);
  // A new enum value is a name that this program does not know. A number is a value that protobridge does not know.
  switch (order.status) {
    case 'ORDER_STATUS_PENDING':
    case 'ORDER_STATUS_PAID':
      break;
    default:
      console.log(`order ${order.orderId} has the unknown status ${order.status}`);
  }
  // An absent field has its default. 64-bit integers are strings, because a JavaScript number would round them.
  const currency = order.total?.currency;
  if (!currency) return;
  const before = select.get(currency) as { minor: string } | undefined;
  store.run(currency, String(BigInt(order.total?.amountMinor ?? '0') + BigInt(before?.minor ?? '0')));
}

/** Acts on a message unless its event was acted on before. */
async function handle(message: Message): Promise<boolean> {
  const attribute = (name: string): string => {
    const value = message.MessageAttributes?.[name]?.StringValue;
    if (value === undefined) throw new Error(`there is no attribute ${name}; subscribe with RawMessageDelivery=true`);
    return value;
  };
  const [eventType, eventId] = [attribute('event-type'), attribute('event-id')];
  const json = await jsonOf(message);
  database.exec('BEGIN IMMEDIATE');
  try {
    const isNew = remember.run(eventType, eventId).changes === 1;
    if (isNew) act(eventType, json);
    database.exec('COMMIT');
    if (isNew && printEvents) {
      console.log('event', eventType, eventId, createHash('sha256').update(json).digest('hex'));
    }
    return isNew;
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}

const sqs = new SQSClient({});
let [acted, repeated] = [0, 0];
for (;;) {
  const { Messages: messages = [] } = await sqs.send(
    new ReceiveMessageCommand({
      QueueUrl: queueUrl,
      MaxNumberOfMessages: 10,
      WaitTimeSeconds: stopWhenIdle ? 1 : 20,
      MessageAttributeNames: ['All'],
    }),
  );
  for (const message of messages) {
    try {
      if (await handle(message)) acted += 1;
      else repeated += 1;
    } catch (error) {
      // The message comes back, and moves to the dead-letter queue in the end.
      console.log(`message ${message.MessageId}: ${error}`);
      continue;
    }
    // Delete after the commit: a crash in between repeats the event, and the table of seen events skips it.
    await sqs.send(new DeleteMessageCommand({ QueueUrl: queueUrl, ReceiptHandle: message.ReceiptHandle }));
  }
  if (stopWhenIdle && messages.length === 0) break;
}
const rows = database.prepare('SELECT currency, minor FROM revenue ORDER BY currency').all();
const revenue = Object.fromEntries(rows.map((row) => [row.currency, row.minor]));
console.log(JSON.stringify({ acted, repeated, revenue }));
