// Publishes CloudEvents with the official library for Node, and reads those that were delivered.
//
// Reads {"do": "publish", "url", "token"} or {"do": "read", "deliveries": [{"headers", "body"}]} from standard input, the
// body in base64, and writes a list of the attributes and data of each event to standard output.
"use strict";

const assert = require("node:assert");
const fs = require("node:fs");
const { CloudEvent, HTTP } = require("cloudevents");

async function publish(request) {
  const published = [];
  for (const mode of ["structured", "binary"]) {
    const event = new CloudEvent({
      id: `${mode}-1`,
      source: "https://shop.example/orders?from=node",
      type: "com.example.order.shipped",
      subject: "order/7",
      time: "2026-11-23T08:20:00.000Z",
      datacontenttype: "application/json",
      dataschema: "https://shop.example/schemas/order",
      partitionkey: "customer-7",
      data: { amount: 250, lines: [{ sku: "ä" }] },
    });
    const message = HTTP[mode](event);
    const headers = { ...message.headers, authorization: `Bearer ${request.token}` };
    const ids = new Set();
    // The same event again is the same message.
    for (let turn = 0; turn < 2; turn += 1) {
      const answer = await fetch(request.url, { method: "POST", headers, body: message.body });
      assert.strictEqual(answer.status, 202, await answer.clone().text());
      ids.add((await answer.json()).id);
    }
    assert.strictEqual(ids.size, 1);
    published.push(event.toJSON());
  }
  return published;
}

async function read(request) {
  return request.deliveries.map(({ headers, body }) =>
    HTTP.toEvent({ headers, body: Buffer.from(body, "base64").toString("utf8") }).toJSON(),
  );
}

async function main() {
  const request = JSON.parse(fs.readFileSync(0, "utf8"));
  const done = await { publish, read }[request.do](request);
  process.stdout.write(JSON.stringify(done));
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
