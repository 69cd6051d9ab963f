"""The formats are the same in the job, in the services, in the template and in the schema of requests."""

import json

from templates import INFRA, template

from table_export_job.formats import FORMATS as WRITTEN
from table_exports.domain.catalog import FORMATS

SCHEMAS = INFRA.parent / "table_exports" / "schemas"


def test_the_job_writes_the_formats_that_the_catalog_describes():
    assert set(WRITTEN) == set(FORMATS)


def test_a_stack_can_have_each_format():
    assert template("table")["Parameters"]["OutputFormat"]["AllowedValues"] == list(FORMATS)


def test_the_schema_of_requests_has_each_format():
    schema = json.loads((SCHEMAS / "export_requested.json").read_text())

    assert list(FORMATS) == ["parquet", "orc", "avro", "json", "csv"]
    assert schema["properties"]["output_format"]["enum"] == list(FORMATS)
