"""Drives the API with Svix's own client for Python, as a provider's service would.

Reads {"url", "token", "receiver", "broken"} from standard input; what is broken refuses three times and is well then,
and nothing is tried twice by itself. Every operation must answer in a shape that the client reads,
with what was asked for; the first that does not ends the program with an error. Prints the number of operations.
"""

import functools
import json
import sys
import time
from datetime import datetime, timedelta, timezone

from svix.api import Svix, SvixOptions
from svix.api.application import ApplicationListOptions
from svix.api.background_task import BackgroundTaskListOptions
from svix.api.endpoint import EndpointListOptions, EndpointRecoverOptions
from svix.api.errors.http_error import HttpError
from svix.api.errors.http_validation_error import HTTPValidationError
from svix.api.message import MessageCreateOptions, MessageGetOptions, MessageListOptions
from svix.api.message_attempt import MessageAttemptListByEndpointOptions, MessageAttemptListByMsgOptions
from svix.models import (
    ApplicationIn,
    ApplicationPatch,
    ApplicationTokenExpireIn,
    AppPortalAccessIn,
    AppUsageStatsIn,
    BackgroundTaskStatus,
    BackgroundTaskType,
    BulkExpungeContentsIn,
    BulkReplayIn,
    EndpointHeadersIn,
    EndpointHeadersPatchIn,
    EndpointIn,
    EndpointPatch,
    EndpointSecretRotateIn,
    EndpointUpsertIn,
    EnvironmentIn,
    EventExampleIn,
    EventTypeImportOpenApiIn,
    EventTypeIn,
    EventTypePatch,
    EventTypeUpsertIn,
    MessageIn,
    MessagePrecheckIn,
    MessageStatus,
    OperationalWebhookEndpointHeadersIn,
    OperationalWebhookEndpointIn,
    OperationalWebhookEndpointSecretIn,
    OperationalWebhookEndpointUpsertIn,
    Ordering,
    RecoverIn,
    ReplayIn,
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
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}
    hook = {"post": {"description": "A pet came", "deprecated": True, "requestBody": body}}
    pets = {"openapi": "3.1.0", "info": {"title": "Pets", "version": "1"}, "webhooks": {"python.pet": hook}}
    pets["components"] = {"schemas": {"Pet": {"type": "object", "required": ["name"]}}}
    dry = svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=pets, dry_run=True)).data
    assert [(row.name, row.description, row.deprecated) for row in dry.to_modify] == [("python.pet", "A pet came", True)]
    assert refused(404, lambda: svix.event_type.get("python.pet")).code == "not_found"
    made = svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec_raw=json.dumps(pets))).data
    assert (made.modified, made.to_modify) == (["python.pet"], None)
    assert svix.event_type.get("python.pet").schemas["1"] == pets["components"]["schemas"]["Pet"]
    assert svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=pets)).data.modified == []
    hook["post"]["requestBody"] = {"$ref": "https://example.com/pet.json"}
    wrong = refused(422, lambda: svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=pets)))
    place = ["body", "spec", "webhooks", "python.pet", "post", "requestBody", "$ref"]
    assert wrong.detail[0].loc == place, wrong.detail


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


def finished(svix, begun, kind):
    """A background task, once it has finished; its counts are told with it."""
    assert (begun.task, begun.status) == (kind, BackgroundTaskStatus.RUNNING), begun

    def seen():
        task = svix.background_task.get(begun.id)
        assert task.status != BackgroundTaskStatus.FAILED, task
        return task.status == BackgroundTaskStatus.FINISHED and task

    return until(f"{kind} finishes", seen)


def hour_ago():
    return datetime.now(timezone.utc) - timedelta(hours=1)


def recovery(svix, app, receiver, broken):
    """What failed is recovered, what was missed is replayed, and what was chosen is sent again."""
    since = hour_ago()
    weak = svix.endpoint.create(app, EndpointIn(url=broken))
    events = []
    for number in range(3):
        event = MessageIn(event_type="python.tested", payload={"number": number})
        events.append(svix.message.create(app, event).id)

    def standing(endpoint, status):
        rows = svix.message_attempt.list_attempted_messages(app, endpoint.id).data
        return len(rows) == 3 and all(row.status == status for row in rows)

    until("all to fail", lambda: standing(weak, MessageStatus.FAIL))
    once = EndpointRecoverOptions(idempotency_key="recover-1")
    recover_in = RecoverIn(since=since)
    recovered = svix.endpoint.recover(app, weak.id, recover_in, once)
    assert svix.endpoint.recover(app, weak.id, recover_in, once).id == recovered.id
    assert finished(svix, recovered, BackgroundTaskType.ENDPOINT_RECOVER).data["done"] == 3
    until("all to arrive", lambda: standing(weak, MessageStatus.SUCCESS))
    late = svix.endpoint.create(app, EndpointIn(url=receiver))
    missed = svix.endpoint.replay_missing(app, late.id, ReplayIn(since=since))
    assert finished(svix, missed, BackgroundTaskType.ENDPOINT_REPLAY).data["done"] == 3
    until("all that was missed", lambda: standing(late, MessageStatus.SUCCESS))
    chosen = BulkReplayIn(since=since, event_types=["python.tested"], status=MessageStatus.SUCCESS)
    again = svix.endpoint.bulk_replay(app, late.id, chosen)
    until("the bulk replay", lambda: svix.background_task.get(again.id).data["done"] == 3)

    def attempted():
        every = MessageAttemptListByEndpointOptions(status=MessageStatus.SUCCESS)
        return len(svix.message_attempt.list_by_endpoint(app, late.id, every).data)

    until("all once more", lambda: attempted() == 6)
    assert svix.endpoint.get_stats(app, late.id).success == 3
    which = BackgroundTaskListOptions(
        status=BackgroundTaskStatus.FINISHED, task=BackgroundTaskType.ENDPOINT_RECOVER
    )
    assert [task.id for task in svix.background_task.list(which).data] == [recovered.id]
    example = svix.endpoint.send_example(app, late.id, EventExampleIn(event_type="python.tested"))
    until("the example", lambda: attempted() == 7)
    return [*events, example.id]


def statistics(svix, app):
    span = {"since": hour_ago(), "until": datetime.now(timezone.utc) + timedelta(hours=1)}
    usage = svix.statistics.aggregate_app_stats(AppUsageStatsIn(app_ids=[app, "nobody"], **span))
    assert usage.unresolved_app_ids == ["nobody"], usage
    found = finished(svix, usage, BackgroundTaskType.APPLICATION_STATS).data["appStats"]
    # Three that failed, recovered, were missed and came again; and an example.
    assert found == [{"appId": app, "appUid": "python", "messageDestinations": 13}], found
    nobody = AppUsageStatsIn(app_ids=["nobody"], **span)
    assert refused(422, lambda: svix.statistics.aggregate_app_stats(nobody))
    types = svix.statistics.aggregate_event_types()
    found = finished(svix, types, BackgroundTaskType.EVENT_TYPE_AGGREGATE).data["event_types"]
    (own,) = [row for row in found if row["appId"] == app]
    assert (own["explicitlySubscribedEventTypes"], own["hasCatchAllEndpoint"]) == ([], True), own


def forgetting(svix, app, events):
    assert svix.message.precheck(app, MessagePrecheckIn(event_type="python.tested")).active
    first = BulkExpungeContentsIn(ids=events[:1])
    svix.message.bulk_expunge_content(app, first)
    task = svix.message.expunge_all_contents(app)
    assert finished(svix, task, BackgroundTaskType.APPLICATION_PURGE_CONTENT).data["done"] == len(events) - 1
    assert svix.message.get(app, events[-1], MessageGetOptions(with_content=True)).payload == {"expired": True}


def portal(svix, app, url):
    """A portal's token sees its own application, and nothing once it is ended."""

    def consumer(token):
        return Svix(token, SvixOptions(server_url=url, retry_schedule=[]))

    first, last = (svix.authentication.app_portal_access(app, AppPortalAccessIn()).token for _ in range(2))
    assert consumer(first).application.get(app).id == app
    other = svix.application.create(ApplicationIn(name="Other")).id
    assert refused(404, lambda: consumer(first).application.get(other))
    assert refused(403, lambda: consumer(first).application.list())
    consumer(first).authentication.logout()
    assert refused(401, lambda: consumer(first).application.get(app))
    assert consumer(last).application.get(app).id == app
    svix.authentication.expire_all(app, ApplicationTokenExpireIn(expiry=0))
    assert refused(401, lambda: consumer(last).application.get(app))
    svix.application.delete(other)


def importing(svix):
    """Event types out of an OpenAPI document."""
    schema = {"type": "object", "required": ["id"]}
    content = {"application/json": {"schema": schema}}
    hook = {"post": {"summary": "A test", "requestBody": {"content": content}, "responses": {}}}
    info = {"title": "Events", "version": "1"}
    spec = {"openapi": "3.1.0", "info": info, "webhooks": {"python.imported": hook}}
    planned = svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=spec, dry_run=True))
    assert [row.name for row in planned.data.to_modify] == ["python.imported"], planned
    assert refused(404, lambda: svix.event_type.get("python.imported"))
    done = svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec_raw=json.dumps(spec)))
    assert done.data.modified == ["python.imported"], done
    (imported,) = svix.event_type.get("python.imported").schemas.values()
    assert imported["required"] == ["id"], imported
    bad = EventTypeImportOpenApiIn(spec={"openapi": "3.1.0", "webhooks": 1})
    assert refused(422, lambda: svix.event_type.import_openapi(bad))


def environment(svix):
    svix.event_type.patch("python.tested", EventTypePatch(schemas={"1": {}}))
    exported = svix.environment.export()
    (mine,) = [row for row in exported.event_types if row.name == "python.tested"]
    assert mine.schemas == {"1": {}}, mine
    row = EventTypeIn(name=mine.name, description="Imported", schemas=mine.schemas)
    svix.environment.import_(EnvironmentIn(event_types=[row]))
    assert svix.event_type.get(mine.name).description == "Imported"
    bad = EnvironmentIn(event_types=[EventTypeIn(name="a b", description="")])
    assert refused(422, lambda: svix.environment.import_(bad)).detail[0].loc == ["body", "eventTypes", "0", "name"]


def kitchen_sink(svix):
    """The calls of the story that Svix tests its clients by, in its order and with what it expects."""
    app = svix.application.create(ApplicationIn(name="Kitchen"))
    for name in ("sink.begun", "sink.done"):
        svix.event_type.create(EventTypeIn(name=name, description="Sink"))
    assert refused(409, lambda: svix.event_type.create(EventTypeIn(name="sink.done", description="Sink")))
    wanted = EndpointIn(url="https://example.com/", channels=["one", "two"])
    made = svix.endpoint.create(app.id, wanted)
    assert set(made.channels) == {"one", "two"} and not made.event_types
    patch = EndpointPatch(event_types=["sink.begun", "sink.done"])
    patched = svix.endpoint.patch(app.id, made.id, patch)
    assert (set(patched.channels), set(patched.event_types)) == ({"one", "two"}, {"sink.begun", "sink.done"})
    assert svix.endpoint.delete(app.id, made.id) is None
    assert svix.application.delete(app.id) is None


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
    app = svix.application.create(ApplicationIn(name="Python", uid="python")).id
    events = recovery(svix, app, request["receiver"], request["broken"])
    statistics(svix, app)
    forgetting(svix, app, events)
    portal(svix, app, request["url"])
    importing(svix)
    environment(svix)
    kitchen_sink(svix)
    print(len(set(counts)))


if __name__ == "__main__":
    main()
