"""`doctor` checks that pipelines hold the names of their entities. Its remedies are carried out."""

from types import SimpleNamespace

import boto3
import pytest
from examples import a_pipeline, an_export
from remedies import carry_out

from table_exports.aws import records as state
from table_exports_cli import doctor
from table_exports_cli.deployed import Deployed

NAME = "reviews-parquet"
OTHER = a_pipeline(
    pipeline="reviews_orders-parquet",
    catalog_name="reviews_orders",
    output_prefix="s3://bucket/exports/snapshots_reviews_orders",
    stack_id="other-stack",
)


@pytest.fixture
def problems(records):
    """What the check finds, for a pipeline that has claimed the names of two entities."""
    assert records.register(a_pipeline())
    export = an_export()
    assert records.begin(export)
    assert records.claim_entities(export, records.pipeline(NAME), ["reviews_orders", "reviews_lines"])
    return lambda: list(doctor.names(Deployed(SimpleNamespace(client=boto3.client, records=records))))


def test_names_that_their_pipeline_holds_are_no_problem(problems):
    assert problems() == []


def test_a_missing_claim_is_put_back(records, problems):
    records._delete(state._claim("reviews_orders"), held_by=NAME)

    [problem] = problems()
    assert (problem.subject, problem.description) == (
        NAME,
        "does not hold the name of its entity reviews_orders, so another pipeline could take it",
    )

    carry_out(problem.remedy, boto3.client)

    assert problems() == []
    assert records.holder("reviews_orders") == (NAME, a_pipeline().stack_id)
    assert not records.register(OTHER)


def test_a_name_that_another_pipeline_took_is_given_back_after_its_stack_was_deleted(records, problems):
    records._delete(state._claim("reviews_orders"), held_by=NAME)
    assert records.register(OTHER)

    [problem] = problems()
    assert problem.description == (
        "the name of its entity reviews_orders is held by the pipeline reviews_orders-parquet in stack other-stack"
    )
    assert problem.remedy.startswith("delete that stack")

    records.unregister(OTHER.pipeline, "other-stack")  # as the deletion of the stack does

    [problem] = problems()
    carry_out(problem.remedy, boto3.client)
    assert problems() == []
