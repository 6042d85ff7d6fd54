// Checks documents: the official parser has nothing to say against them, and each example fits the schema of its message.

import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const [jsonSchema, ...documents] = process.argv.slice(2);
const problems = [];
const SEVERITIES = ['error', 'warning', 'info', 'hint'];

/// The official parser.
async function parse(file) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(file, 'utf8'));
  // Infos are matters of taste, such as the newest version of AsyncAPI.
  for (const it of diagnostics.filter((it) => it.severity < 2)) {
    problems.push(`${file}: ${SEVERITIES[it.severity]} ${it.code} at ${it.path.join('.')}: ${it.message}`);
  }
  return document;
}

/// Examples by schemas, with the dialect that AsyncAPI builds on.
function examples(file, document) {
  const ajv = addFormats(new Ajv({ strict: false, allErrors: true }));
  ajv.addSchema(document, 'document');
  let count = 0;
  for (const [name, message] of Object.entries(document.components.messages)) {
    for (const example of message.examples ?? []) {
      for (const part of ['headers', 'payload']) {
        const fits = ajv.compile({ $ref: `document#/components/messages/${name}/${part}` });
        count += 1;
        if (!fits(example[part])) {
          problems.push(`${file}: ${part} of the example of ${name}: ${ajv.errorsText(fits.errors)}`);
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

// The JSON Schema of one type, in its own dialect, with no keyword that ajv does not know.
addFormats(new Ajv2020({ strict: true, strictTypes: false, strictRequired: false })).compile(JSON.parse(readFileSync(jsonSchema, 'utf8')));

for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
