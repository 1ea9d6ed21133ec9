"""Says which receiver libraries of Python accept which deliveries.

Reads {"deliveries": [{"name", "key", "headers", "body"}]} from standard input, the body in base64, and writes
{name: {library: "accepted" or "refused: reason"}} to standard output.
"""

import base64
import json
import sys

import nacl.exceptions
import nacl.signing
import standardwebhooks
import svix


def standard(key, headers, body):
    standardwebhooks.Webhook(key).verify(body, headers)


def branded(key, headers, body):
    """The svix-* headers only, so that the copies are what is verified."""
    svix.Webhook(key).verify(body, {name: value for name, value in headers.items() if name.startswith("svix-")})


def ed25519(key, headers, body):
    """PyNaCl against each v1a signature; the libraries above know v1 only."""
    public = nacl.signing.VerifyKey(base64.b64decode(key.removeprefix("whpk_"), validate=True))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signatures = headers["webhook-signature"].split(" ")
    for version, signature in (entry.split(",", 1) for entry in signatures):
        if version == "v1a":
            try:
                public.verify(signed, base64.b64decode(signature, validate=True))
                return
            except nacl.exceptions.BadSignatureError:
                continue
    raise ValueError("no matching signature")


def verdict(verify, delivery):
    body = base64.b64decode(delivery["body"], validate=True)
    try:
        verify(delivery["key"], delivery["headers"], body)
    except Exception as error:  # Whatever a library raises is its refusal.
        return f"refused: {error}"
    return "accepted"


def verdicts(delivery):
    if delivery["key"].startswith("whpk_"):
        return {"pynacl": verdict(ed25519, delivery)}
    return {"standardwebhooks": verdict(standard, delivery), "svix": verdict(branded, delivery)}


if __name__ == "__main__":
    request = json.load(sys.stdin)
    json.dump({delivery["name"]: verdicts(delivery) for delivery in request["deliveries"]}, sys.stdout)
