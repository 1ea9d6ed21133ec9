// Drives the API with Svix's own client for Node, as a provider's service would.
//
// Reads {"url", "token", "receiver"} from standard input. Every operation must answer in a shape that the client reads,
// with what was asked for; the first that does not ends the program with an error. Prints the number of operations.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const { setTimeout: sleep } = require("node:timers/promises");
const { Svix } = require("svix");

// An answer comes soon; a busy machine gets longer.
const PATIENCE_MS = 20_000;
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

// A client whose calls are counted.
function counted(inner, counts) {
  return new Proxy(inner, {
    get(target, name) {
      const attribute = target[name];
      if (typeof attribute !== "function") return counted(attribute, counts);
      return (...args) => {
        counts.add(`${target.constructor.name}.${name}`);
        return attribute.apply(target, args);
      };
    },
  });
}

const refused = (code, call) => assert.rejects(call, (error) => error.code === code);

async function until(what, probe) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await probe();
    if (found) return found;
    assert(Date.now() < end, `not within ${PATIENCE_MS} ms: ${what}`);
    await sleep(20);
  }
}

async function applications(svix) {
  const app = await svix.application.create({ name: "Node", uid: "node", metadata: { plan: "large" } });
  assert.deepEqual(await svix.application.get("node"), app);
  assert.equal((await svix.application.getOrCreate({ name: "Node", uid: "node" })).id, app.id);
  assert.equal((await svix.application.update("node", { name: "Node 20", uid: "node" })).name, "Node 20");
  assert.deepEqual((await svix.application.patch(app.id, { metadata: {} })).metadata, {});
  await refused(409, () => svix.application.create({ name: "Again", uid: "node" }));
  await refused(422, () => svix.application.create({ name: "" }));
  const page = await svix.application.list({ limit: 1, order: "ascending" });
  assert.equal(page.data.length, 1);
  assert(page.data[0].createdAt instanceof Date);
  return app.id;
}

async function eventTypes(svix) {
  await svix.eventType.create({ name: "node.tested", description: "A test", schemas: { 1: {} } });
  assert.equal((await svix.eventType.get("node.tested")).description, "A test");
  assert.equal((await svix.eventType.update("node.tested", { description: "Other" })).description, "Other");
  assert.equal((await svix.eventType.patch("node.tested", { deprecated: true })).deprecated, true);
  assert((await svix.eventType.list()).data.some((row) => row.name === "node.tested"));
  await svix.eventType.create({ name: "node.ended", description: "" });
  await svix.eventType.delete("node.ended");
}

async function endpoints(svix, app, url) {
  const wanted = { url, uid: "receiver", filterTypes: ["node.tested"], channels: ["tests"], secret: SECRET };
  const endpoint = await svix.endpoint.create(app, wanted);
  assert.deepEqual(endpoint.filterTypes, ["node.tested"]);
  assert.deepEqual(await svix.endpoint.get(app, "receiver"), endpoint);
  // What was read can be written back, and means the same.
  assert.deepEqual((await svix.endpoint.update(app, endpoint.id, endpoint)).filterTypes, ["node.tested"]);
  const update = { url, uid: "receiver", description: "Other", filterTypes: ["node.tested"] };
  assert.equal((await svix.endpoint.update(app, endpoint.id, update)).description, "Other");
  assert.equal((await svix.endpoint.patch(app, endpoint.id, { description: "Third" })).description, "Third");
  assert.equal((await svix.endpoint.list(app)).data.length, 1);
  assert.equal((await svix.endpoint.getSecret(app, endpoint.id)).key, SECRET);
  await svix.endpoint.rotateSecret(app, endpoint.id, { gracePeriodSeconds: 60 });
  assert.notEqual((await svix.endpoint.getSecret(app, endpoint.id)).key, SECRET);
  await svix.endpoint.updateHeaders(app, endpoint.id, { headers: { "x-two": "2" } });
  await svix.endpoint.patchHeaders(app, endpoint.id, { headers: { "x-three": "3" } });
  const { headers } = await svix.endpoint.getHeaders(app, endpoint.id);
  assert.deepEqual(headers, { "x-two": "2", "x-three": "3" });
  return endpoint.id;
}

async function messages(svix, app) {
  const event = { eventType: "node.tested", payload: { a: [1, 2] }, eventId: "event-1", channels: ["tests"] };
  const once = { idempotencyKey: "node-1" };
  const message = await svix.message.create(app, event, once);
  assert.equal((await svix.message.create(app, event, once)).id, message.id);
  await refused(409, () => svix.message.create(app, event));
  assert.deepEqual((await svix.message.get(app, "event-1")).payload, { a: [1, 2] });
  const listed = await svix.message.list(app, { eventTypes: ["node.tested"] });
  assert.deepEqual(listed.data.map((row) => row.id), [message.id]);
  return message.id;
}

async function attempts(svix, app, endpoint, message) {
  const ofMessage = async () => (await svix.messageAttempt.listByMsg(app, message)).data;
  const [attempt] = await until("an attempt", async () => {
    const rows = await ofMessage();
    return rows.length > 0 && rows;
  });
  assert.deepEqual([attempt.endpointId, attempt.status, attempt.responseStatusCode], [endpoint, 0, 200]);
  assert.equal((await svix.messageAttempt.get(app, message, attempt.id)).id, attempt.id);
  assert.equal((await svix.messageAttempt.listByEndpoint(app, endpoint)).data[0].id, attempt.id);
  assert.equal((await svix.messageAttempt.listAttemptedMessages(app, endpoint)).data[0].id, message);
  assert.equal((await svix.messageAttempt.listAttemptedDestinations(app, message)).data[0].id, endpoint);
  await svix.messageAttempt.resend(app, message, endpoint);
  await until("a second attempt", async () => (await ofMessage()).length === 2);
  await svix.messageAttempt.expungeContent(app, message, attempt.id);
  await svix.message.expungeContent(app, message);
  await svix.endpoint.delete(app, endpoint);
}

async function main() {
  const { url, token, receiver } = JSON.parse(fs.readFileSync(0, "utf8"));
  const counts = new Set();
  const svix = counted(new Svix(token, { serverUrl: url, retryScheduleInMs: [] }), counts);
  await svix.health.get();
  const app = await applications(svix);
  await eventTypes(svix);
  const endpoint = await endpoints(svix, app, receiver);
  const message = await messages(svix, app);
  await attempts(svix, app, endpoint, message);
  await svix.application.delete(app);
  console.log(counts.size);
}

main();
