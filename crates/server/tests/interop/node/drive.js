// Drives the API with Svix's own client for Node, as a provider's service would.
//
// Reads {"url", "token", "receiver", "broken"} from standard input; what is broken refuses three times and is well then, and
// nothing is tried twice by itself. Every operation must answer in a shape that the client reads,
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
  const specRaw = "openapi: 3.1.0\nwebhooks: {node.pet: {post: {summary: A pet came}}}\n";
  const dry = await svix.eventType.importOpenapi({ specRaw, dryRun: true });
  assert.deepEqual(dry.data.toModify.map((row) => row.description), ["A pet came"]);
  assert.deepEqual((await svix.eventType.importOpenapi({ specRaw })).data.modified, ["node.pet"]);
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

// A background task, once it has finished; its counts are told with it.
async function finished(svix, begun, task) {
  assert.deepEqual([begun.task, begun.status], [task, "running"]);
  return until(`${task} finishes`, async () => {
    const seen = await svix.backgroundTask.get(begun.id);
    assert.notEqual(seen.status, "failed");
    return seen.status === "finished" && seen;
  });
}

// What failed is recovered, what was missed is replayed, and what was chosen is sent again.
async function recovery(svix, app, url, broken) {
  const since = new Date(Date.now() - 3_600_000);
  const weak = await svix.endpoint.create(app, { url: broken });
  const events = [];
  for (const number of [1, 2, 3]) {
    events.push((await svix.message.create(app, { eventType: "node.tested", payload: { number } })).id);
  }
  const standing = async (endpoint, status) => {
    const { data } = await svix.messageAttempt.listAttemptedMessages(app, endpoint);
    return data.length === 3 && data.every((row) => row.status === status);
  };
  await until("all to fail", () => standing(weak.id, 2));
  const recovered = await svix.endpoint.recover(app, weak.id, { since }, { idempotencyKey: "recover-1" });
  assert.equal((await svix.endpoint.recover(app, weak.id, { since }, { idempotencyKey: "recover-1" })).id, recovered.id);
  assert.equal((await finished(svix, recovered, "endpoint.recover")).data.done, 3);
  await until("all to arrive", () => standing(weak.id, 0));
  const late = await svix.endpoint.create(app, { url });
  const missed = await svix.endpoint.replayMissing(app, late.id, { since });
  assert.equal((await finished(svix, missed, "endpoint.replay")).data.done, 3);
  await until("all that was missed", () => standing(late.id, 0));
  const again = await svix.endpoint.bulkReplay(app, late.id, { since, eventTypes: ["node.tested"], status: 0 });
  assert.equal((await svix.backgroundTask.get(again.id)).task, "endpoint.bulk-replay");
  await until("the bulk replay", async () => (await svix.backgroundTask.get(again.id)).data.done === 3);
  await until("all once more", async () => (await svix.endpoint.getStats(app, late.id)).success === 3);
  const list = await svix.backgroundTask.list({ status: "finished", task: "endpoint.recover" });
  assert.deepEqual(list.data.map((task) => task.id), [recovered.id]);
  const { data } = await svix.messageAttempt.listByEndpoint(app, weak.id, { status: 2 });
  assert.deepEqual(data.map((row) => row.responseStatusCode), [500, 500, 500]);
  return events;
}

async function statistics(svix, app) {
  const hour = 3_600_000;
  const span = { since: new Date(Date.now() - hour), until: new Date(Date.now() + hour) };
  const usage = await svix.statistics.aggregateAppStats({ ...span, appIds: [app, "nobody"] });
  assert.deepEqual(usage.unresolvedAppIds, ["nobody"]);
  const { appStats } = (await finished(svix, usage, "application.stats")).data;
  assert.deepEqual([appStats.length, appStats[0].appId, appStats[0].appUid], [1, app, "node"]);
  // Three that failed, recovered, were missed and came again.
  assert.equal(appStats[0].messageDestinations, 12);
  await refused(422, () => svix.statistics.aggregateAppStats({ ...span, appIds: ["nobody"] }));
  const types = await svix.statistics.aggregateEventTypes();
  const found = (await finished(svix, types, "event-type.aggregate")).data.event_types;
  const own = found.find((row) => row.appId === app);
  assert.deepEqual([own.explicitlySubscribedEventTypes, own.hasCatchAllEndpoint], [[], true]);
}

async function forgetting(svix, app, [first]) {
  assert.equal((await svix.message.precheck(app, { eventType: "node.tested" })).active, true);
  const task = await svix.message.expungeAllContents(app);
  assert.equal((await finished(svix, task, "application.purge_content")).data.done, 3);
  assert.deepEqual((await svix.message.get(app, first)).payload, { expired: true });
}

// A portal's token sees its own application, and nothing once it is ended.
async function portal(svix, app, url) {
  const { token } = await svix.authentication.appPortalAccess(app, { featureFlags: ["beta"] });
  const consumer = counted(new Svix(token, { serverUrl: url, retryScheduleInMs: [] }), new Set());
  assert.equal((await consumer.application.get(app)).id, app);
  const other = await svix.application.create({ name: "Other" });
  await refused(404, () => consumer.application.get(other.id));
  await refused(403, () => consumer.application.list());
  const last = (await svix.authentication.appPortalAccess(app, {})).token;
  await svix.authentication.expireAll(app, { expiry: 0 });
  await refused(401, () => consumer.application.get(app));
  await refused(401, () => new Svix(last, { serverUrl: url, retryScheduleInMs: [] }).authentication.logout());
  await svix.application.delete(other.id);
}

async function operationalWebhooks(svix, url) {
  const webhooks = svix.operationalWebhook.endpoint;
  const told = await webhooks.create({ url, uid: "told", filterTypes: ["endpoint.deleted"], secret: SECRET });
  assert.deepEqual(await webhooks.get("told"), told);
  assert.deepEqual(told.filterTypes, ["endpoint.deleted"]);
  assert.deepEqual((await webhooks.list()).data.map((row) => row.id), [told.id]);
  assert.equal((await webhooks.update(told.id, { url, uid: "told", description: "Other" })).description, "Other");
  await webhooks.updateHeaders(told.id, { headers: { "x-one": "1" } });
  assert.deepEqual((await webhooks.getHeaders(told.id)).headers, { "x-one": "1" });
  assert.equal((await webhooks.getSecret(told.id)).key, SECRET);
  await webhooks.rotateSecret(told.id, {});
  assert.notEqual((await webhooks.getSecret(told.id)).key, SECRET);
  await webhooks.delete(told.id);
  await refused(404, () => webhooks.get(told.id));
}

// Event types out of an OpenAPI document.
async function importing(svix) {
  const schema = { type: "object", required: ["id"] };
  const post = { summary: "A test", requestBody: { content: { "application/json": { schema } } }, responses: {} };
  const spec = { openapi: "3.1.0", info: { title: "Events", version: "1" }, webhooks: { "node.imported": { post } } };
  const planned = await svix.eventType.importOpenapi({ spec, dryRun: true });
  assert.deepEqual(planned.data.toModify.map((row) => row.name), ["node.imported"]);
  await refused(404, () => svix.eventType.get("node.imported"));
  assert.deepEqual((await svix.eventType.importOpenapi({ specRaw: JSON.stringify(spec) })).data.modified, ["node.imported"]);
  const { schemas } = await svix.eventType.get("node.imported");
  assert.deepEqual(Object.values(schemas).map((row) => row.required), [["id"]]);
  await refused(422, () => svix.eventType.importOpenapi({ spec: { openapi: "3.1.0", webhooks: 1 } }));
}

async function environment(svix) {
  await svix.eventType.patch("node.tested", { schemas: { 1: {} } });
  const exported = await svix.environment.export();
  const mine = exported.eventTypes.find((row) => row.name === "node.tested");
  assert.deepEqual(mine.schemas, { 1: {} });
  const eventTypes = [{ ...mine, description: "Imported" }];
  await svix.environment.import({ eventTypes });
  assert.equal((await svix.eventType.get("node.tested")).description, "Imported");
  await refused(422, () => svix.environment.import({ eventTypes: [{ name: "a b", description: "" }] }));
}

// The calls of the story that Svix tests its clients by, in its order and with what it expects.
async function kitchenSink(svix) {
  const app = await svix.application.create({ name: "Kitchen" });
  for (const name of ["sink.begun", "sink.done"]) await svix.eventType.create({ name, description: "Sink" });
  await refused(409, () => svix.eventType.create({ name: "sink.done", description: "Sink" }));
  const made = await svix.endpoint.create(app.id, { url: "https://example.com/", channels: ["one", "two"] });
  assert.deepEqual(made.channels.sort(), ["one", "two"]);
  assert.deepEqual(made.filterTypes || [], []);
  const patched = await svix.endpoint.patch(app.id, made.id, { filterTypes: ["sink.begun", "sink.done"] });
  assert.deepEqual(patched.channels.sort(), ["one", "two"]);
  assert.deepEqual(patched.filterTypes.sort(), ["sink.begun", "sink.done"]);
  assert.equal(await svix.endpoint.delete(app.id, made.id), undefined);
  assert.equal(await svix.application.delete(app.id), undefined);
}

async function main() {
  const { url, token, receiver, broken } = JSON.parse(fs.readFileSync(0, "utf8"));
  const counts = new Set();
  const svix = counted(new Svix(token, { serverUrl: url, retryScheduleInMs: [] }), counts);
  await svix.health.get();
  const app = await applications(svix);
  await eventTypes(svix);
  const endpoint = await endpoints(svix, app, receiver);
  const message = await messages(svix, app);
  await attempts(svix, app, endpoint, message);
  await svix.application.delete(app);
  const { id } = await svix.application.create({ name: "Node", uid: "node" });
  const events = await recovery(svix, id, receiver, broken);
  await statistics(svix, id);
  await forgetting(svix, id, events);
  await portal(svix, id, url);
  await operationalWebhooks(svix, receiver);
  await importing(svix);
  await environment(svix);
  await kitchenSink(svix);
  console.log(counts.size);
}

main();
