"""Publishes CloudEvents with the official library for Python, and reads those that were delivered.

Reads {"do": "publish", "url", "token"} or {"do": "read", "deliveries": [{"headers", "body"}]} from standard input, the
body in base64, and writes a list of the attributes and data of each event to standard output.
"""

import base64
import json
import sys
from datetime import datetime, timezone

import httpx
from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent


def plain(event):
    """The attributes as JSON has them, and the data."""
    attributes = {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in event.get_attributes().items()
    }
    return {**attributes, "data": event.get_data()}


def publish(request):
    published = []
    for mode in (to_structured_event, to_binary_event):
        attributes = {
            "id": f"{mode.__name__} 1/ä",
            "source": "https://shop.example/orders?from=python",
            "type": "com.example.order.shipped",
            "subject": "größe \"100%\"",
            "time": datetime(2026, 11, 23, 8, 20, tzinfo=timezone.utc),
            "datacontenttype": "application/json",
            "dataschema": "https://shop.example/schemas/order",
            "partitionkey": "customer-7",
        }
        event = CloudEvent(attributes, {"amount": 250, "lines": [{"sku": "ä"}]})
        message = mode(event)
        headers = {**message.headers, "authorization": f"Bearer {request['token']}"}
        ids = set()
        # The same event again is the same message.
        for _ in range(2):
            answer = httpx.post(request["url"], content=message.body, headers=headers)
            assert answer.status_code == 202, answer.text
            ids.add(answer.json()["id"])
        assert len(ids) == 1, ids
        published.append(plain(event))
    return published


def read(request):
    return [
        plain(from_http_event(HTTPMessage(delivery["headers"], base64.b64decode(delivery["body"]))))
        for delivery in request["deliveries"]
    ]


def main():
    request = json.load(sys.stdin)
    json.dump({"publish": publish, "read": read}[request["do"]](request), sys.stdout)


main()
