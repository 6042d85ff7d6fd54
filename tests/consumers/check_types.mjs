// Checks that the converters of quicktype, which compare a JSON text with the types when they run, read every event.
//
//     node check_types.mjs FOLDER

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const folder = resolve(process.argv[2]);
const load = createRequire(`${folder}/`);
/// The name that quicktype makes of a full name: shop.v1.Money is ShopV1Money.
const pascal = (name) => name.split(/[^A-Za-z0-9]/).map((part) => part[0].toUpperCase() + part.slice(1)).join('');

let read = 0;
for (const line of readFileSync(`${folder}/events.tsv`, 'utf8').trim().split('\n')) {
  const [profile, type, json] = line.split('\t');
  for (const [module, name] of [['schema', pascal(type)], ['asyncapi', pascal(`${profile}.${type}`)]]) {
    const { Convert } = load(`./js/${profile}/${module}.quicktype.js`);
    const event = Convert[`to${name}`](json);
    const added = JSON.parse(json).addedLater ?? JSON.parse(json).added_later;
    if (added !== (event.addedLater ?? event.added_later)) {
      throw new Error(`${module} of ${profile} lost the field that it does not know: ${json}`);
    }
    read += 1;
  }
}
console.log(`consumers: quicktype reads ${read} events`);
