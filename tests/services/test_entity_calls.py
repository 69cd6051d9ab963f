"""How many calls of AWS the entities of a snapshot take. A function has a minute for all of them."""

from collections import Counter

import boto3
import pytest
from examples import NOW, a_manifest_of, a_section

from on_glue_complete.handler import on_job_run_ended
from on_view_complete.handler import on_query_ended
from table_exports.aws.glue import Glue
from table_exports.domain.aws_events import QueryEnded
from table_exports.domain.export import CLAIM, VIEWS_AT_ONCE
from table_exports.domain.stages import Stage

SUCCEEDED = "glue-job-run/jr_abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
MOST = 200
# Besides one GetItem for each name. GetTable and the later ones are of the views that are published first.
CALLS = {
    "TransactWriteItems": 3,
    "GetTables": 1,
    "GetTable": 2 * VIEWS_AT_ONCE,
    "CreateTable": VIEWS_AT_ONCE,
    "BatchCreatePartition": VIEWS_AT_ONCE,
}
OWN = {"GetItem", "Query", "UpdateItem"}  # of DynamoDB: a few for each event, however many entities there are


@pytest.fixture
def calls(cloud, in_flight):
    """Counts the calls for a new snapshot with as many new entities as there can be. The catalog is that of moto."""
    counted = Counter()
    client = boto3.client("glue")
    client.create_database(DatabaseInput={"Name": "entity_calls"})
    for service in (client, cloud.records._client):
        service.meta.events.register("before-call.*.*", lambda model, **_: counted.update([model.name]), "counter")
    cloud.glue = Glue(client, lambda: client, "entity_calls")
    cloud.manifests.manifest = a_manifest_of(*(a_section(f"reviews_e{n:03}") for n in range(MOST)))
    in_flight(Stage.EXPORTING, SUCCEEDED)
    counted.clear()
    yield counted
    cloud.records._client.meta.events.unregister("before-call.*.*", unique_id="counter")
    client.delete_database(Name="entity_calls")


def besides_own(calls):
    return {name: count for name, count in calls.items() if name not in OWN}


def test_as_many_new_entities_as_there_can_be_take_few_calls(cloud, calls, aws_event):
    on_job_run_ended(aws_event("glue_job_succeeded"), cloud, NOW)

    assert cloud.the_export().stage == Stage.PUBLISHING
    assert calls.pop("GetItem") <= MOST + 3
    assert besides_own(calls) == CALLS


def test_a_retry_does_not_repeat_what_is_done(cloud, calls, aws_event, monkeypatch):
    ask_to_show = cloud.records.ask_to_show
    monkeypatch.setattr(cloud.records, "ask_to_show", lambda *_: (_ for _ in ()).throw(ConnectionError("killed")))
    with pytest.raises(ConnectionError):
        on_job_run_ended(aws_event("glue_job_succeeded"), cloud, NOW)
    monkeypatch.setattr(cloud.records, "ask_to_show", ask_to_show)
    calls.clear()

    on_job_run_ended(aws_event("glue_job_succeeded"), cloud, NOW + CLAIM)

    assert cloud.the_export().stage == Stage.PUBLISHING
    assert calls.pop("GetItem") <= 3
    expected = {"GetTable": 2, "BatchCreatePartition": 1, "GetPartition": 1}
    assert besides_own(calls) == {name: count * VIEWS_AT_ONCE for name, count in expected.items()}


def test_the_next_views_take_few_calls(cloud, calls, aws_event):
    on_job_run_ended(aws_event("glue_job_succeeded"), cloud, NOW)
    queries = cloud.the_export().queries
    for query in queries[:-1]:
        cloud.athena.ends[query] = QueryEnded.from_event(aws_event("athena_query_succeeded", queryExecutionId=query))
    calls.clear()

    on_query_ended(aws_event("athena_query_succeeded", queryExecutionId=queries[-1]), cloud, NOW)

    assert len(cloud.the_export().queries) == 2 * VIEWS_AT_ONCE
    assert calls.pop("GetItem") <= 3
    expected = {"GetTable": 2, "CreateTable": 1, "BatchCreatePartition": 1}
    assert besides_own(calls) == {name: count * VIEWS_AT_ONCE for name, count in expected.items()}
