// Read a case and print every number as the 64 bits of a double: node read.mjs CASE.json
// One line for each array: its section, its name, the bits in hexadecimal.

import { readFileSync } from "node:fs";

const view = new DataView(new ArrayBuffer(8));

function bits(number) {
  view.setFloat64(0, number);
  return view.getBigUint64(0).toString(16).padStart(16, "0");
}

const read = JSON.parse(readFileSync(process.argv[2], "utf8"));
for (const section of ["arrays", "expected"]) {
  for (const [name, { shape, data }] of Object.entries(read[section])) {
    if (data.length !== shape.reduce((a, b) => a * b, 1)) throw new Error(`${name} does not fit its shape`);
    console.log([section, name, ...data.map(bits)].join(" "));
  }
}
