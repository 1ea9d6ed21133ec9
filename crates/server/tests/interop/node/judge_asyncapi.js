// Judges documents of AsyncAPI with the parser of its makers.
//
// Reads {"documents": [...]} from standard input; writes for each a list of what is wrong with it.
"use strict";

const fs = require("node:fs");
const { Parser } = require("@asyncapi/parser");

// Hints are no faults: "there is a newer version of AsyncAPI" is one.
const WARNING = 1;

async function faults(document) {
  const { diagnostics } = await new Parser().parse(JSON.stringify(document));
  const wrong = diagnostics.filter((found) => found.severity <= WARNING);
  return wrong.map((found) => `${found.path.join("/")}: ${found.message}`);
}

async function main() {
  const { documents } = JSON.parse(fs.readFileSync(0, "utf8"));
  const judged = [];
  for (const document of documents) {
    judged.push(await faults(document));
  }
  process.stdout.write(JSON.stringify(judged));
}

main();
