from decimal import Decimal

import jsonschema
import pytest
from examples import a_pipeline, a_request, an_event_of_ours, an_export

from table_exports.domain.errors import InvalidRequest
from table_exports.domain.request import ExportRequest, request_detail, request_identity, resume_detail

BAD = [
    ({"pipeline": ...}, "pipeline: is missing"),
    ({"table_name": ...}, "table_name: is missing"),
    ({"read_percentage": ...}, "read_percentage: is missing"),
    ({"output_prefix": ...}, "output_prefix: is missing"),
    ({"output_format": ...}, "output_format: is missing"),
    ({"glue_job_name": ...}, "glue_job_name: is missing"),
    ({"crawler_name": ...}, "crawler_name: is missing"),
    ({"read_percentage": 1.5}, "read_percentage: is 1.5: it must be a number from 0.1 to 1.0"),
    ({"read_percentage": 0.09}, "read_percentage: is 0.09"),
    ({"read_percentage": float("nan")}, "read_percentage: is NaN"),
    ({"read_percentage": float("inf")}, "read_percentage: is Infinity"),
    ({"read_percentage": "0.25"}, 'read_percentage: is "0.25": it must be a number'),
    ({"read_percentage": True}, "read_percentage: is true"),
    ({"read_percentage": None}, "read_percentage: is null"),
    ({"table_name": ""}, 'table_name: is ""'),
    ({"table_name": 'x"; DROP TABLE reviews; --'}, "table_name: is"),
    ({"pipeline": "catalog-name/reviews"}, "pipeline: is"),
    ({"pipeline": ["reviews-parquet"]}, "pipeline: is ["),
    ({"output_prefix": "s3://bucket/exports/snapshots_reviews/"}, "output_prefix: is"),
    ({"output_prefix": "s3://bucket/../other"}, "output_prefix: is"),
    ({"output_prefix": "file:///etc/passwd"}, "output_prefix: is"),
    ({"output_format": "xlsx"}, 'output_format: is "xlsx": it must be one of parquet, orc, avro, json, csv'),
    ({"output_format": ["csv"]}, "output_format: is ["),
    ({"crawler_name": "x" * 256}, "crawler_name: is"),
    ({"scheduled_time": "yesterday"}, "scheduled_time: is"),
    ({"request_id": ""}, "request_id: is"),
    ({"read_percent": 0.5}, '"read_percent": is not a field of a request'),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_bad_request_is_told_which_field_is_wrong_and_what_to_do(change, message):
    with pytest.raises(InvalidRequest) as refusal:
        ExportRequest.from_event(a_request(**change))

    assert str(refusal.value).startswith(message)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("detail", [None, [], "text", 7])
def test_a_detail_that_is_no_object_is_refused(detail):
    with pytest.raises(InvalidRequest, match=r"^detail: "):
        ExportRequest.from_event({"id": "1", "detail": detail})


@pytest.mark.parametrize("percentage", [0.1, 0.25, 1, 1.0])
def test_the_read_percentage_may_be_anything_from_a_tenth_to_one(percentage):
    assert float(ExportRequest.from_event(a_request(read_percentage=percentage)).read_percentage) == percentage


def test_a_request_for_a_pipeline_that_is_not_deployed_is_refused():
    with pytest.raises(InvalidRequest, match=r"^pipeline: reviews-parquet is unknown: deploy its table stack"):
        ExportRequest.from_event(a_request()).validate_against(None)


@pytest.mark.parametrize("field", ["table_name", "output_prefix", "output_format", "glue_job_name", "crawler_name"])
def test_a_request_may_not_differ_from_what_is_deployed(field):
    deployed = a_pipeline(**{field: "other"})

    with pytest.raises(InvalidRequest, match=rf"^{field}: is .* is deployed with other"):
        ExportRequest.from_event(a_request()).validate_against(deployed)


def test_each_delivery_of_one_scheduled_request_is_for_the_same_export():
    first, second = a_request(), a_request() | {"id": "event-2", "time": "2026-11-23T02:00:09Z"}

    assert request_identity(first) == request_identity(second)


@pytest.mark.parametrize(
    "another",
    [
        a_request(scheduled_time="2026-11-24T02:00:00Z"),
        a_request(pipeline="orders-parquet"),
        a_request(request_id="again-please"),
        a_request() | {"replay-name": "last-week"},
    ],
)
def test_another_time_pipeline_request_or_replay_is_another_export(another):
    assert request_identity(another) != request_identity(a_request())


def test_a_request_without_time_or_id_is_known_by_its_event():
    by_hand = a_request(scheduled_time=...)

    assert request_identity(by_hand) == request_identity(a_request(scheduled_time=...))
    assert request_identity(by_hand) != request_identity(by_hand | {"id": "event-2"})


def test_two_replays_of_one_request_are_two_exports():
    assert request_identity(a_request() | {"replay-name": "a"}) != request_identity(a_request() | {"replay-name": "b"})


EXPRESSIBLE = [change for change, _ in BAD if str(change.get("read_percentage")) not in ("nan", "inf")]


@pytest.mark.parametrize("change", EXPRESSIBLE, ids=str)
def test_the_published_schema_refuses_what_the_service_refuses(change, schema):
    detail = a_request(**change)["detail"]

    assert not jsonschema.Draft202012Validator(schema("Export Requested")).is_valid(detail)


def test_a_request_may_read_less_than_the_pipeline_is_deployed_with_but_not_more():
    deployed = a_pipeline(read_percentage=Decimal("0.3"))
    for allowed in (0.1, 0.3):
        assert ExportRequest.from_event(a_request(read_percentage=allowed)).validate_against(deployed) == deployed

    with pytest.raises(InvalidRequest) as refused:
        ExportRequest.from_event(a_request(read_percentage=0.31)).validate_against(deployed)

    assert str(refused.value) == (
        "read_percentage: is 0.31, but reviews-parquet is deployed with ReadPercentage 0.3: request this value or "
        "less, or deploy the table stack with a higher one"
    )


def test_what_people_ask_for_is_taken_as_a_schedules_request_is():
    asked = request_detail(a_pipeline(read_percentage=Decimal("0.5")), "by-hand-1")

    request = ExportRequest.from_event(an_event_of_ours(asked))

    deployed = a_pipeline(read_percentage=Decimal("0.5"))
    assert request.validate_against(deployed) == deployed
    assert (request.read_percentage, request.resumes) == (Decimal("0.5"), False)
    assert request_detail(a_pipeline(), "x", Decimal("1.0"))["read_percentage"] == 1.0


def test_what_people_have_go_on_is_that_export():
    request = ExportRequest.from_event(
        an_event_of_ours(resume_detail(an_export(export_id="5f0d1c9a7be34f1c2a6e"), "x"))
    )

    assert (request.resumes, request.export_id) == (True, "5f0d1c9a7be34f1c2a6e")
