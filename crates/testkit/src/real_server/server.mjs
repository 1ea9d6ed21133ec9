// An HTTPS server of Node.js that demands client certificates.
//
// Arguments: certificate chain, key, CA of the clients. Says where it listens (TLS 1.2, TLS 1.3), then names every
// request that it read whole.

import { readFileSync } from "node:fs";
import { createServer } from "node:https";

const [cert, key, ca] = process.argv.slice(2, 5).map((path) => readFileSync(path));

function answer(request, response) {
  let length = 0;
  request.on("data", (part) => {
    length += part.length;
  });
  request.on("end", () => {
    console.log("REQUEST", request.url, length);
    response.writeHead(200, { "content-length": "0" }).end();
  });
}

function listen(version) {
  const options = { cert, key, ca, requestCert: true, rejectUnauthorized: true };
  const server = createServer({ ...options, minVersion: version, maxVersion: version }, answer);
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(server.address().port));
  });
}

const ports = [await listen("TLSv1.2"), await listen("TLSv1.3")];
console.log("READY", ...ports);
