"""The limits in the code and in docs/limits.md are those that AWS publishes: in its models, or at the linked page."""

import re
from pathlib import Path

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from sandbox.gateway.quotas import QUOTAS
from table_export_job import columns, formats, names, types
from table_exports.domain import limits

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "limits.md").read_text()
MODELS = {name: ServiceModel(Loader().load_service_model(name, "service-2")) for name in ("athena", "dynamodb", "glue")}


def longest(service, shape):
    return MODELS[service].shape_for(shape).metadata["max"]


@pytest.mark.parametrize(
    ("ours", "service", "shape"),
    [
        (limits.QUERY_BYTES, "athena", "QueryString"),
        (limits.VIEW_CHARACTERS, "glue", "ViewTextString"),
        (limits.NAME_CHARACTERS, "glue", "NameString"),
        (limits.ARN_CHARACTERS, "dynamodb", "ExportArn"),
        (limits.PARTITIONS_PER_CALL, "glue", "PartitionInputList"),
        (names.NAME_BYTES, "glue", "NameString"),  # the shape of Column.Name
        (columns.COMMENT_BYTES, "glue", "CommentString"),
        (formats.PARAMETER_CHARACTERS, "glue", "ParametersMapValue"),
        (limits.PARTITIONS_PER_CALL, "glue", "BatchUpdatePartitionRequestEntryList"),
    ],
)
def test_a_limit_of_ours_is_the_one_in_the_model_of_aws(ours, service, shape):
    assert ours == longest(service, shape)


def test_column_types_stay_below_the_limit_of_the_catalog():
    assert longest("glue", "ColumnTypeString") > types.TYPE_BYTES
    assert f"Glue accepts {longest('glue', 'ColumnTypeString'):,}" in PAGE
    assert f"at most {types.TYPE_BYTES:,} bytes" in PAGE


def test_objects_per_call_is_what_the_model_documents():
    documented = Loader().load_service_model("s3", "service-2")["operations"]["DeleteObjects"]["documentation"]

    assert re.search(rf"up to {limits.OBJECTS_PER_CALL} keys", documented.replace(",", ""))


@pytest.mark.parametrize("quota", QUOTAS, ids=lambda quota: quota.what)
def test_each_quota_that_the_sandbox_knows_is_documented_with_its_source(quota):
    [row] = [line for line in PAGE.splitlines() if line.startswith(f"| {quota.what} |")]

    assert f"| [{quota.shown}]({quota.source}) |" in row
