// Says which receiver libraries of Node accept which deliveries.
//
// Reads {"deliveries": [{"name", "key", "headers", "body"}]} from standard input, the body in base64, and writes
// {name: {library: "accepted" or "refused: reason"}} to standard output.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const standardwebhooks = require("standardwebhooks");
const svix = require("svix");

function standard(key, headers, body) {
  new standardwebhooks.Webhook(key).verify(body, headers);
}

// The svix-* headers only, so that the copies are what is verified.
function branded(key, headers, body) {
  const copies = Object.entries(headers).filter(([name]) => name.startsWith("svix-"));
  new svix.Webhook(key).verify(body, Object.fromEntries(copies));
}

// Node's own crypto against each v1a signature; the libraries above know v1 only.
function ed25519(key, headers, body) {
  const x = Buffer.from(key.slice("whpk_".length), "base64").toString("base64url");
  const publicKey = crypto.createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const head = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`;
  const signed = Buffer.concat([Buffer.from(head), body]);
  const matches = headers["webhook-signature"].split(" ").some((entry) => {
    const [version, signature] = entry.split(",");
    return version === "v1a" && crypto.verify(null, signed, publicKey, Buffer.from(signature, "base64"));
  });
  if (!matches) throw new Error("no matching signature");
}

function verdict(verify, { key, headers, body }) {
  try {
    verify(key, headers, Buffer.from(body, "base64"));
    return "accepted";
  } catch (error) {
    return `refused: ${error.message}`;
  }
}

function verdicts(delivery) {
  if (delivery.key.startsWith("whpk_")) {
    return { "node:crypto": verdict(ed25519, delivery) };
  }
  return { standardwebhooks: verdict(standard, delivery), svix: verdict(branded, delivery) };
}

const { deliveries } = JSON.parse(fs.readFileSync(0, "utf8"));
const all = Object.fromEntries(deliveries.map((delivery) => [delivery.name, verdicts(delivery)]));
process.stdout.write(JSON.stringify(all));
