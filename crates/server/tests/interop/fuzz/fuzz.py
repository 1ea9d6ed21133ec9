"""Lets schemathesis ask the API whatever its document allows and what it does not.

Reads {"url", "token", "org", "cases"} from standard input. Prints how many cases there were, and ends with 0 only if no
answer was a fault of the server, had a status or shape that the document does not know, or another content type.
"""

import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# What is answered 501 on purpose.
ABSENT = "transformation|oauth"
# What ends or deletes the things that the other requests are about. They are asked last, without those.
ENDS = "delete|expire|logout|expunge"


def call(given, path, body):
    request = urllib.request.Request(
        f"{given['url']}/api/v1{path}",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {given['token']}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def names(given):
    """Things for the paths to name: where nothing exists, everything is just 404."""
    call(given, "/app", {"name": "Fuzz", "uid": "fuzz"})
    call(given, "/event-type", {"name": "fuzz", "description": ""})
    call(given, "/app/fuzz/endpoint", {"url": "https://fuzz.invalid/", "uid": "fuzz"})
    call(given, "/app/fuzz/msg", {"eventType": "fuzz", "eventId": "fuzz", "payload": {}})
    token = call(given, f"/management/authentication/{given['org']}/api-token", {"name": "fuzz"})
    return {
        "app_id": "fuzz",
        "endpoint_id": "fuzz",
        "msg_id": "fuzz",
        "event_type_name": "fuzz",
        "env_id": given["org"],
        "key_id": token["id"],
    }


def fuzz(given, folder, chosen):
    command = [
        str(Path(sys.executable).with_name("st")),
        "--config-file", str(folder / "schemathesis.toml"),
        "run", f"{given['url']}/api/v1/openapi.json",
        "--header", f"Authorization: Bearer {given['token']}",
        "--phases", "fuzzing", "--max-examples", str(given["cases"]),
        "--generation-deterministic", "--no-shrink", "--checks", CHECKS,
        "--continue-on-failure", "--request-timeout", "30", "--warnings", "off",
        "--suppress-health-check", "all", *chosen,
    ]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    cases = re.search(r"(\d+) generated", ran.stdout)
    if ran.returncode != 0 or cases is None:
        sys.exit(ran.stdout[-20_000:] + ran.stderr[-2_000:])
    return int(cases.group(1))


def main():
    given = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        values = [f'"path.{name}" = {json.dumps(value)}' for name, value in names(given).items()]
        (folder / "schemathesis.toml").write_text("[parameters]\n" + "\n".join(values) + "\n")
        first = fuzz(given, folder, ["--exclude-operation-id-regex", f"{ABSENT}|{ENDS}"])
        last = fuzz(given, folder, ["--include-operation-id-regex", ENDS, "--exclude-operation-id-regex", ABSENT])
        print(first + last)


main()
