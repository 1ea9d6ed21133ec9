"""Drives the API with Svix's own client for Python, as a provider's service would.

Reads {"url", "token", "receiver"} from standard input. Every operation must answer in a shape that the client reads,
with what was asked for; the first that does not ends the program with an error. Prints the number of operations.
"""

import functools
import json
import sys
import time

from svix.api import Svix, SvixOptions
from svix.api.application import ApplicationListOptions
from svix.api.endpoint import EndpointListOptions
from svix.api.errors.http_error import HttpError
from svix.api.errors.http_validation_error import HTTPValidationError
from svix.api.message import MessageCreateOptions, MessageGetOptions, MessageListOptions
from svix.api.message_attempt import MessageAttemptListByMsgOptions
from svix.models import (
    ApplicationIn,
    ApplicationPatch,
    EndpointHeadersIn,
    EndpointHeadersPatchIn,
    EndpointIn,
    EndpointPatch,
    EndpointSecretRotateIn,
    EndpointUpsertIn,
    EventTypeIn,
    EventTypePatch,
    EventTypeUpsertIn,
    MessageIn,
    MessageStatus,
    OperationalWebhookEndpointHeadersIn,
    OperationalWebhookEndpointIn,
    OperationalWebhookEndpointSecretIn,
    OperationalWebhookEndpointUpsertIn,
    Ordering,
)

#: An answer comes soon; a busy machine gets longer.
PATIENCE_SECONDS = 20
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Counted:
    """A client whose calls are counted."""

    def __init__(self, inner, counts):
        self._inner, self._counts = inner, counts

    def __getattr__(self, name):
        attribute = getattr(self._inner, name)
        if not callable(attribute):
            return Counted(attribute, self._counts)

        @functools.wraps(attribute)
        def call(*args):
            self._counts.append(f"{type(self._inner).__name__}.{name}")
            return attribute(*args)

        return call


def refused(status, call):
    """The error that a call must end with."""
    try:
        call()
    except (HttpError, HTTPValidationError) as error:
        assert error.status_code == status, error
        return error
    raise AssertionError(f"expected {status}")


def until(what, probe):
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := probe()):
        assert time.monotonic() < end, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(0.02)
    return found


def applications(svix):
    app = svix.application.create(ApplicationIn(name="Python", uid="python", metadata={"plan": "large"}))
    assert svix.application.get("python") == app
    assert svix.application.get_or_create(ApplicationIn(name="Python", uid="python")).id == app.id
    assert svix.application.upsert("python", ApplicationIn(name="Python 3", uid="python")).name == "Python 3"
    assert svix.application.patch(app.id, ApplicationPatch(metadata={"plan": "small"})).metadata == {"plan": "small"}
    assert refused(409, lambda: svix.application.create(ApplicationIn(name="Again", uid="python"))).code
    assert refused(422, lambda: svix.application.create(ApplicationIn(name=""))).detail[0].loc == ["body", "name"]
    others = [svix.application.create(ApplicationIn(name=name)).id for name in ("a", "b", "c")]
    found, iterator = [], None
    while True:
        page = svix.application.list(ApplicationListOptions(limit=2, iterator=iterator, order=Ordering.ASCENDING))
        found += [row.id for row in page.data]
        iterator = page.iterator
        if page.done:
            break
    assert [id for id in found if id in [app.id, *others]] == [app.id, *others], found
    for other in others:
        svix.application.delete(other)
        assert refused(404, lambda: svix.application.get(other)).code == "not_found"
    return app.id


def event_types(svix):
    created = svix.event_type.create(EventTypeIn(name="python.tested", description="A test", schemas={"1": {}}))
    assert svix.event_type.get("python.tested").name == created.name
    assert svix.event_type.upsert("python.tested", EventTypeUpsertIn(description="Other")).description == "Other"
    assert svix.event_type.patch("python.tested", EventTypePatch(archived=True)).archived
    assert svix.event_type.upsert("python.tested", EventTypeUpsertIn(description="Back", archived=False)).description
    assert "python.tested" in [row.name for row in svix.event_type.list().data]
    svix.event_type.create(EventTypeIn(name="python.ended", description=""))
    svix.event_type.delete("python.ended")


def endpoints(svix, app, receiver):
    wanted = EndpointIn(
        url=receiver,
        uid="receiver",
        description="Receives",
        event_types=["python.tested"],
        channels=["tests"],
        metadata={"team": "a"},
        secret=SECRET,
        headers={"x-one": "1"},
    )
    endpoint = svix.endpoint.create(app, wanted)
    assert (endpoint.url, endpoint.event_types, endpoint.channels) == (receiver, ["python.tested"], ["tests"])
    assert svix.endpoint.get(app, "receiver") == endpoint
    update = EndpointUpsertIn(url=receiver, uid="receiver", description="Other", event_types=["python.tested"])
    assert svix.endpoint.upsert(app, endpoint.id, update).channels is None
    assert svix.endpoint.patch(app, endpoint.id, EndpointPatch(description="Third")).description == "Third"
    assert [row.id for row in svix.endpoint.list(app, EndpointListOptions(limit=1)).data] == [endpoint.id]
    assert svix.endpoint.get_secret(app, endpoint.id).key == SECRET
    rotated = svix.endpoint.rotate_secret(app, endpoint.id, EndpointSecretRotateIn(grace_period_seconds=60))
    assert svix.endpoint.get_secret(app, endpoint.id).key == rotated.key != SECRET
    svix.endpoint.set_headers(app, endpoint.id, EndpointHeadersIn(headers={"x-two": "2"}))
    svix.endpoint.patch_headers(app, endpoint.id, EndpointHeadersPatchIn(headers={"x-three": "3"}))
    assert svix.endpoint.get_headers(app, endpoint.id).headers == {"x-two": "2", "x-three": "3"}
    spare = svix.endpoint.create(app, EndpointIn(url=receiver, disabled=True, channels=["nobody"]))
    svix.endpoint.delete(app, spare.id)
    assert refused(404, lambda: svix.endpoint.get(app, spare.id)).code == "not_found"
    return endpoint.id


def messages(svix, app):
    event = MessageIn(event_type="python.tested", payload={"a": [1, 2]}, event_id="event-1", channels=["tests"])
    once = MessageCreateOptions(idempotency_key="python-1")
    message = svix.message.create(app, event, once)
    assert svix.message.create(app, event, once).id == message.id
    assert refused(409, lambda: svix.message.create(app, event)).code
    assert svix.message.get(app, "event-1", MessageGetOptions(with_content=True)).payload == {"a": [1, 2]}
    other = svix.message.create(app, MessageIn(event_type="python.tested", payload={}))
    listed = svix.message.list(app, MessageListOptions(event_types=["python.tested"]))
    assert [row.id for row in listed.data] == [other.id, message.id]
    svix.message.expunge_content(app, other.id)
    return message.id


def attempts(svix, app, endpoint, message):
    def of_message():
        return svix.message_attempt.list_by_msg(app, message, MessageAttemptListByMsgOptions()).data

    attempt = until("an attempt", of_message)[0]
    assert (attempt.endpoint_id, attempt.status, attempt.response_status_code) == (endpoint, MessageStatus.SUCCESS, 200)
    assert svix.message_attempt.get(app, message, attempt.id).id == attempt.id
    assert attempt.id in [row.id for row in svix.message_attempt.list_by_endpoint(app, endpoint).data]
    assert message in [row.id for row in svix.message_attempt.list_attempted_messages(app, endpoint).data]
    destinations = svix.message_attempt.list_attempted_destinations(app, message).data
    assert [row.id for row in destinations] == [endpoint]
    svix.message_attempt.resend(app, message, endpoint)
    until("a second attempt", lambda: len(of_message()) == 2)
    svix.message_attempt.expunge_content(app, message, attempt.id)
    svix.endpoint.delete(app, endpoint)


def operational_webhooks(svix, receiver):
    webhooks = svix.operational_webhook.endpoint
    wanted = OperationalWebhookEndpointIn(url=receiver, uid="told", event_types=["endpoint.deleted"], secret=SECRET)
    told = webhooks.create(wanted)
    assert webhooks.get("told") == told
    assert [row.id for row in webhooks.list().data] == [told.id]
    update = OperationalWebhookEndpointUpsertIn(url=receiver, uid="told", description="Other")
    assert webhooks.upsert(told.id, update).description == "Other"
    webhooks.set_headers(told.id, OperationalWebhookEndpointHeadersIn(headers={"x-one": "1"}))
    assert webhooks.get_headers(told.id).headers == {"x-one": "1"}
    assert webhooks.get_secret(told.id).key == SECRET
    webhooks.rotate_secret(told.id, OperationalWebhookEndpointSecretIn())
    assert webhooks.get_secret(told.id).key != SECRET
    webhooks.delete(told.id)
    assert refused(404, lambda: webhooks.get(told.id)).code == "not_found"


def main():
    request = json.load(sys.stdin)
    counts = []
    svix = Counted(Svix(request["token"], SvixOptions(server_url=request["url"], retry_schedule=[])), counts)
    svix.health.get()
    app = applications(svix)
    event_types(svix)
    endpoint = endpoints(svix, app, request["receiver"])
    message = messages(svix, app)
    attempts(svix, app, endpoint, message)
    operational_webhooks(svix, request["receiver"])
    svix.application.delete(app)
    print(len(set(counts)))


if __name__ == "__main__":
    main()
