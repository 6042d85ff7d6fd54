// Checks AsyncAPI documents: the official parser must report no error and no warning, and each example must fit the
// schema of its message. Also compiles one JSON Schema.
//
//     node check.js JSON_SCHEMA DOCUMENT…

import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const [jsonSchema, ...documents] = process.argv.slice(2);
const problems = [];
const SEVERITIES = ['error', 'warning', 'info', 'hint'];

/// Parses a document with the official parser and notes its errors and warnings.
async function parse(file) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(file, 'utf8'));
  // Infos and hints are advice, for example to use the latest version of AsyncAPI.
  for (const it of diagnostics.filter((it) => it.severity < 2)) {
    problems.push(`${file}: ${SEVERITIES[it.severity]} ${it.code} at ${it.path.join('.')}: ${it.message}`);
  }
  return document;
}

/// Validates the examples of all messages with JSON Schema draft 7, the base of AsyncAPI. Returns the number of checks.
function examples(file, document) {
  const ajv = addFormats(new Ajv({ strict: false, allErrors: true }));
  ajv.addSchema(document, 'document');
  let count = 0;
  for (const [name, message] of Object.entries(document.components.messages)) {
    for (const example of message.examples ?? []) {
      for (const part of ['headers', 'payload']) {
        const validate = ajv.compile({ $ref: `document#/components/messages/${name}/${part}` });
        count += 1;
        if (!validate(example[part])) {
          problems.push(`${file}: ${part} of the example of ${name}: ${ajv.errorsText(validate.errors)}`);
        }
      }
    }
  }
  return count;
}

for (const file of documents) {
  const document = await parse(file);
  if (!document) continue;
  const [channels, messages] = [document.channels().length, document.components().messages().length];
  const checked = examples(file, document.json());
  if (channels === 0 || checked < 2 * messages) {
    problems.push(`${file}: ${channels} channels, ${messages} messages and ${checked / 2} examples are too few`);
  }
  console.log(`asyncapi: ${file}: ${channels} channels, ${messages} messages, ${checked / 2} examples`);
}

// The JSON Schema of one type must compile in draft 2020-12. The strict mode refuses unknown keywords.
const ajv2020 = addFormats(new Ajv2020({ strict: true, strictTypes: false, strictRequired: false }));
ajv2020.compile(JSON.parse(readFileSync(jsonSchema, 'utf8')));

for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
