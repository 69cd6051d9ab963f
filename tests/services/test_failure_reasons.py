"""Why exports fail: which may be resumed after the cause is removed, and what a failure says if the stack was lost."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from examples import NOW, a_manifest, a_pipeline, a_request, a_resumption, an_export

from on_glue_complete.handler import on_job_run_ended
from start_export.handler import on_export_requested
from table_exports.aws import athena, manifests
from table_exports.domain import catalog, reading
from table_exports.domain.errors import FinalError, PermanentError
from table_exports.domain.manifest import VERSION, Manifest
from table_exports.domain.stages import Stage

ID = "5f0d1c9a7be34f1c2a6e"
EXPORT = an_export(export_id=ID)


def proof(text):
    """What the manifest of this text proves."""
    body = SimpleNamespace(read=lambda: text)
    client = SimpleNamespace(get_object=lambda **_: {"Body": body})
    return manifests.Manifests(client).proof_of(EXPORT)


def a_view_of(columns):
    client = SimpleNamespace(start_query_execution=lambda **_: {"QueryExecutionId": "q"})
    return athena.Athena(client, "w", "d").create_view(
        EXPORT, a_manifest(*((f"c{n:060}", "string") for n in range(columns)))
    )


def a_foreign_table():
    catalog.ensure_own_table(EXPORT, {"PartitionKeys": [{"Name": "day"}]})


def too_expensive():
    table = reading.Table(bytes=10**11, on_demand=True, read_units=12_000, point_in_time_recovery=False)
    reading.plan_read(table, replace(a_pipeline(), max_read_cost=1), EXPORT.read_percentage)


def too_large():
    table = reading.Table(bytes=10**13, on_demand=True, read_units=12_000, point_in_time_recovery=False)
    reading.plan_read(table, a_pipeline(), EXPORT.read_percentage)


def too_old():
    reading.plan_read(
        reading.Table(bytes=1, on_demand=True, read_units=1, point_in_time_recovery=False),
        replace(a_pipeline(), read_mode="export"),
        EXPORT.read_percentage,
    )


@pytest.mark.parametrize(
    ("cause", "final", "remedy"),
    [
        (lambda: a_view_of(5_000), True, "put attributes whose names are data into a map, then start over"),
        (lambda: proof(b"not JSON"), True, "Request a new export"),
        (lambda: proof(b"{}"), True, "Request a new export"),
        (lambda: proof(b'{"version": 2}'), True, "Request a new export"),
        (lambda: proof(b'{"version": %d}' % (VERSION + 1)), False, "deploy job and services again"),
        (lambda: a_manifest(export_id="another").prove(EXPORT), False, "another"),  # proof_of makes it final
        (a_foreign_table, False, "another dataset has"),
        (too_expensive, False, "deploy the table stack with MaxReadCost"),
        (too_large, False, "Deploy the table stack with TimeoutMinutes above"),
        (too_old, False, "enable it, or deploy"),
    ],
)
def test_a_reason_says_what_must_change_and_whether_resuming_can_help(cause, final, remedy):
    with pytest.raises(PermanentError) as failed:
        cause()

    assert isinstance(failed.value, FinalError) is final
    assert remedy in str(failed.value)


@pytest.mark.parametrize("change", [{"export_id": "another"}, {"items_written": 1}, {"output_format": "csv"}])
def test_a_manifest_that_proves_nothing_is_final(monkeypatch, change):
    monkeypatch.setattr(Manifest, "from_json", lambda _: a_manifest(**({"export_id": ID} | change)))

    with pytest.raises(FinalError, match="Request a new export"):
        proof(b"")


@pytest.fixture
def exporting(cloud):
    begun = replace(a_pipeline().begin(ID, EXPORT.read_percentage, NOW), max_attempts=1)
    assert cloud.records.begin(begun)
    export = begun.run_job("jr_1", NOW)
    assert cloud.records.move(begun, export)
    return export


def ended(aws_event, name="glue_job_failed", **changes):
    return aws_event(name, jobRunId="jr_1", jobName="table-exports-reviews-parquet", **changes)


@pytest.mark.parametrize(
    ("message", "final"),
    [
        ("Permanent error: x belongs to a later snapshot. Request a new export, or delete that file.", True),
        ("Permanent error: Scan failed with AccessDeniedException. Allow this action in the job's role.", False),
        ("out of memory", False),
    ],
)
def test_resuming_a_final_failure_is_refused_with_what_must_change(cloud, aws_event, exporting, message, final):
    on_job_run_ended(ended(aws_event, state="FAILED", message=message), cloud, NOW)
    failed = cloud.the_export(ID)
    assert (failed.stage, bool(failed.final)) == (Stage.FAILED, final)
    cloud.bus.events.clear()

    on_export_requested(a_resumption(ID), cloud, NOW)

    if final:
        [fact] = cloud.bus.events
        assert fact.detail["reason"].startswith("resume_export_id: it could only fail again. ")
        assert message in fact.detail["reason"]
    else:
        assert cloud.the_export(ID).stage == Stage.EXPORTING


REFUSED = "Permanent error: Scan failed with AccessDeniedException: no. Allow this action in the job's role."
LOST = "The table stack was deleted or renamed while the export was running"


def test_a_run_whose_stack_was_deleted_says_so(cloud, aws_event, exporting):
    cloud.records.unregister("reviews-parquet", cloud.registered.stack_id)

    on_job_run_ended(ended(aws_event, state="FAILED", message=REFUSED), cloud, NOW)

    assert cloud.the_export(ID).reason.startswith(LOST)
    assert "job's role" not in cloud.the_export(ID).reason


def test_a_run_whose_stack_is_being_deleted_says_so(cloud, aws_event, exporting):
    """CloudFormation deletes the job, then its role, and much later the custom resource."""
    cloud.glue.job_gone = True

    on_job_run_ended(ended(aws_event, state="FAILED", message=REFUSED), cloud, NOW)

    assert cloud.the_export(ID).reason.startswith(f"{LOST}. To continue, deploy it again and resume the export")


def test_a_run_whose_pipeline_has_another_stack_says_so(cloud, aws_event, exporting):
    cloud.records.unregister("reviews-parquet", cloud.registered.stack_id)
    assert cloud.records.register(replace(cloud.registered, stack_id="renamed"))

    on_job_run_ended(ended(aws_event, state="FAILED", message=REFUSED), cloud, NOW)
    assert cloud.the_export(ID).reason == (
        f"{LOST}: its pipeline belongs to renamed now. Resume the export, or request a new one"
    )
    on_export_requested(a_resumption(ID), cloud, NOW)

    assert (cloud.the_export(ID).stage, cloud.the_export(ID).table_stack) == (Stage.EXPORTING, "renamed")


def test_a_job_that_cannot_start_because_its_stack_is_gone_says_so(cloud, monkeypatch):
    def refuse(*_):
        cloud.records.unregister("reviews-parquet", cloud.registered.stack_id)
        raise PermanentError("The table stack's role cannot be assumed: AccessDenied")

    monkeypatch.setattr(cloud.tables, "describe", refuse)

    on_export_requested(a_request(), cloud, NOW)

    [export] = cloud.records.exports("reviews-parquet", 1)
    assert export.reason.startswith(LOST)
