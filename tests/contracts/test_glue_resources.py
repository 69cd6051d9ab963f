"""What the templates say of the Glue job and its crawler fits together, and fits the models of AWS."""

import json
import math
from decimal import Decimal

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from examples import an_export
from hypothesis import example, given, settings
from hypothesis import strategies as st
from templates import resource, template

from table_export_job.arguments import JobArguments
from table_exports.aws.glue import _arguments
from table_exports.domain import catalog
from table_exports.domain.export import TABLE_EXPORT_KEPT

GLUE = ServiceModel(Loader().load_service_model("glue", "service-2"))
PARAMETERS = template("table")["Parameters"]
ARGUMENTS = resource("table", "Job")["Properties"]["DefaultArguments"]
ONE_DAY_MINUTES = 24 * 60
# Of Glue itself, each with what it is for: Glue developer guide, "Using job parameters in AWS Glue jobs".
OF_GLUE = {
    "--extra-py-files": "the modules of the job",
    "--additional-python-modules": "fastavro, for avro",
    "--enable-continuous-cloudwatch-log": "the log while the job runs",
}
RULES = {rule["Id"]: rule for rule in resource("common", "Bucket")["Properties"]["LifecycleConfiguration"]["Rules"]}


def accepted(parameter):
    """Any value that the template accepts for a parameter."""
    found = PARAMETERS[parameter]
    if "AllowedValues" in found:
        return st.sampled_from(found["AllowedValues"])
    if found["Type"] == "Number":
        least = Decimal(str(found["MinValue"]))
        return st.decimals(least, Decimal(str(found.get("MaxValue", 10**9))), places=2)
    return st.from_regex(found["AllowedPattern"], fullmatch=True)


PASSED_TO_THE_JOB = [
    "TableName",
    "OutputFormat",
    "ReadPercentage",
    "ReadCapacityCap",
    "Columns",
    "Entities",
    "HashSecretArn",
]


@settings(deadline=None, database=None, max_examples=200)
@given(st.fixed_dictionaries({name: accepted(name) for name in PASSED_TO_THE_JOB}))
@example(
    {
        "TableName": "_-.",
        "OutputFormat": "csv",
        "ReadPercentage": Decimal("1"),
        "ReadCapacityCap": Decimal(0),
        "Columns": "",
        "Entities": "",
        "HashSecretArn": "",
    }
)
def test_the_job_reads_each_value_that_the_template_accepts(values):
    export = an_export(
        table_name=values["TableName"],
        output_format=values["OutputFormat"],
        read_percentage=values["ReadPercentage"],
        read_mode="scan",
        table_export=None,
    )
    given_to_glue = _arguments(export) | {
        "--read_capacity_cap": str(values["ReadCapacityCap"]),
        "--columns": f"s3://{values['Columns']}" if values["Columns"] else "-",
        "--entities": f"s3://{values['Entities']}" if values["Entities"] else "-",
        "--hash_secret": values["HashSecretArn"] or "-",
    }

    read = JobArguments.from_argv(["export_table.py", *(text for pair in given_to_glue.items() for text in pair)])

    assert (read.table_name, read.output_format) == (values["TableName"], values["OutputFormat"])
    assert read.read_percentage == float(values["ReadPercentage"])
    assert read.read_capacity_cap == float(values["ReadCapacityCap"])
    assert read.columns == given_to_glue["--columns"]
    assert read.entities == given_to_glue["--entities"]
    assert read.hash_secret == given_to_glue["--hash_secret"]


@pytest.mark.parametrize("name", sorted({f"--{name}" for name in JobArguments.__dataclass_fields__}))
def test_each_argument_of_the_job_is_given_by_the_template_or_by_the_function_that_starts_it(name):
    assert (name in ARGUMENTS) != (name in _arguments(an_export()))


def test_an_argument_that_glue_reads_has_an_effect():
    """`--enable-metrics`, for example, has none without a GlueContext, and would cost money with one."""
    assert set(ARGUMENTS) - set(OF_GLUE) == {"--read_capacity_cap", "--columns", "--entities", "--hash_secret"}


def test_the_script_accepts_the_arguments_that_the_template_of_0_1_0_gives():
    """An update of a table stack that keeps its template gets the new script, with the old arguments."""
    added_since = set(ARGUMENTS) - set(OF_GLUE) - {"--read_capacity_cap"}
    given_to_glue = _arguments(an_export()) | {"--read_capacity_cap": "0"}

    read = JobArguments.from_argv(["export_table.py", *(text for pair in given_to_glue.items() for text in pair)])

    assert {f"--{name}" for name, value in vars(read).items() if value == "-"} >= added_since


def test_the_template_says_why_a_name_that_begins_with_a_hyphen_is_refused():
    assert "must not begin with a hyphen" in PARAMETERS["TableName"]["ConstraintDescription"]


def test_staged_items_and_uploads_outlive_the_longest_run():
    """S3 counts whole days from the creation of an object, or the start of an upload."""
    run = math.ceil(PARAMETERS["TimeoutMinutes"]["MaxValue"] / ONE_DAY_MINUTES)
    kept = template("common")["Parameters"]["StagingDays"]

    assert run == 7
    assert RULES["staged-items-expire"]["ExpirationInDays"] == {"Ref": "StagingDays"}
    assert kept["Default"] >= kept["MinValue"] > TABLE_EXPORT_KEPT.days + run
    assert RULES["broken-uploads-expire"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] > run


def test_a_crawl_reads_one_file_of_each_snapshot_and_creates_no_index():
    crawler = resource("table", "Crawler")["Properties"]
    [target] = crawler["Targets"]["S3Targets"]

    assert target["SampleSize"] == 1
    assert set(target) <= set(GLUE.shape_for("S3Target").members)
    assert json.loads(crawler["Configuration"])["CreatePartitionIndex"] is False


def test_the_database_is_the_same_whoever_creates_it():
    """CloudFormation does first, and the command line if someone has deleted it."""
    declared = resource("common", "Database")["Properties"]["DatabaseInput"]

    assert declared | {"Name": "exports"} == catalog.database_input("exports")
    assert not catalog.is_governed_by_lake_formation(declared)
