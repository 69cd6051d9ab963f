"""Glue job runs, crawls, Athena queries and their events in the sandbox, as AWS documents them. In an empty account."""

import base64
import io
import json
import re
import subprocess
import sys
import time
import zipfile

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from sandbox_user import ROOT, sandbox

from sandbox.datalake.storage import FILE_FORMATS, OPEN_CSV

pytestmark = pytest.mark.slow  # a change to the sandbox needs it, and no other

ACCOUNT = "123456789012"
ECHO = """
import json, sys, boto3
boto3.client("s3").put_object(Bucket="lake", Key="out/arguments.json", Body=json.dumps(sys.argv[1:]))
"""
PAINT = """
import boto3, colors
boto3.client("s3").put_object(Bucket="lake", Key="out/color", Body=colors.PAINT.encode())
"""
BROKEN = "raise ValueError('no such luck')"
ENDLESS = "import time\nwhile True: time.sleep(1)"
ONE_ACROSS = """
import boto3
boto3.client("s3").put_object(Bucket="lake", Key="secret/file", Body=b"")
"""


class Account:
    """An account of AWS, reached through the sandbox alone."""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    def client(self, service, app=None):
        config = Config(user_agent_appid=app)
        return boto3.Session("test", "test", region_name="us-east-1").client(
            service, endpoint_url=self.endpoint, config=config
        )

    def __getattr__(self, service):
        client = self.client(service)
        setattr(self, service, client)
        return client

    def role(self, name, service, *statements):
        trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))
        self.iam.put_role_policy(RoleName=name, PolicyName="its", PolicyDocument=policy(*statements))
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"

    def job(self, name, script, **properties):
        self.s3.put_object(Bucket="lake", Key=f"scripts/{name}.py", Body=script.encode())
        self.glue.create_job(
            Name=name,
            Role="job",
            Command={"Name": "glueetl", "ScriptLocation": f"s3://lake/scripts/{name}.py", "PythonVersion": "3"},
            DefaultArguments={"--color": "red", "--size": "1"},
            **properties,
        )

    def run_ends(self, job, run_id):
        return until(
            lambda: self.glue.get_job_run(JobName=job, RunId=run_id)["JobRun"],
            lambda run: run["JobRunState"] not in ("STARTING", "RUNNING", "STOPPING"),
        )

    def crawl(self, crawler):
        self.glue.start_crawler(Name=crawler)
        crawled = until(
            lambda: self.glue.get_crawler(Name=crawler)["Crawler"], lambda crawler: crawler["State"] == "READY"
        )
        return crawled["LastCrawl"]

    def write(self, key, **columns):
        file = io.BytesIO()
        pq.write_table(pa.table(columns), file)
        self.s3.put_object(Bucket="lake", Key=key, Body=file.getvalue())

    def ask(self, sql, app=None, **more):
        """The execution, when it has ended."""
        athena = self.client("athena", app)
        started = athena.start_query_execution(
            QueryString=sql, WorkGroup="analysts", QueryExecutionContext={"Database": "zoo"}, **more
        )
        return until(
            lambda: athena.get_query_execution(QueryExecutionId=started["QueryExecutionId"])["QueryExecution"],
            lambda execution: execution["Status"]["State"] not in ("QUEUED", "RUNNING"),
        )

    def query(self, sql):
        """Rows as Athena prints them, the header first."""
        execution = self.ask(sql)
        assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]["StateChangeReason"]
        pages = self.athena.get_paginator("get_query_results").paginate(
            QueryExecutionId=execution["QueryExecutionId"], PaginationConfig={"PageSize": 3}
        )
        return [
            tuple(value.get("VarCharValue") for value in row["Data"])
            for page in pages
            for row in page["ResultSet"]["Rows"]
        ]

    def refusal(self, sql):
        status = self.ask(sql)["Status"]
        assert status["State"] == "FAILED"
        return status["StateChangeReason"]

    def event(self, **details):
        """Waits for the event with these details to arrive in the queue that all events go to."""
        url = self.sqs.get_queue_url(QueueName="everything")["QueueUrl"]
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            for message in self.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, VisibilityTimeout=0).get(
                "Messages", []
            ):
                event = json.loads(message["Body"])
                if details.items() <= event["detail"].items():
                    return event
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        raise AssertionError(f"no event with {details}")


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allow(actions, *resources):
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources)}


def until(look, found, seconds=120):
    deadline = time.monotonic() + seconds
    while not found(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    return seen


@pytest.fixture(scope="module")
def account(tmp_path_factory, engine):
    with sandbox(tmp_path_factory.mktemp("account"), "--no-deploy", *engine) as endpoint:
        account = Account(endpoint)
        furnish(account)
        yield account


def furnish(account):
    account.s3.create_bucket(Bucket="lake")
    account.glue.create_database(DatabaseInput={"Name": "zoo"})
    account.athena.create_work_group(
        Name="analysts", Configuration={"ResultConfiguration": {"OutputLocation": "s3://lake/results/"}}
    )
    files = allow("s3:*Object", "arn:aws:s3:::lake/scripts/*", "arn:aws:s3:::lake/out/*")
    account.role("job", "glue", files)
    catalog = allow(["glue:*Table*", "glue:*Partition*"], "*")
    account.role("crawler", "glue", allow("s3:*", "arn:aws:s3:::lake", "arn:aws:s3:::lake/*"), catalog)
    account.role("blind-crawler", "glue", catalog)
    queue = account.sqs.create_queue(QueueName="everything")["QueueUrl"]
    arn = account.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    account.events.put_rule(Name="everything", EventPattern='{"source": ["aws.glue", "aws.athena"]}')
    account.events.put_targets(Rule="everything", Targets=[{"Id": "queue", "Arn": arn}])
    for crawler, role, folder in (
        ("animals", "crawler", "zoo/Animals-2"),
        ("birds", "crawler", "zoo/birds"),
        ("nothing", "crawler", "zoo/nothing"),
        ("blind", "blind-crawler", "zoo/birds"),
    ):
        account.glue.create_crawler(
            Name=crawler,
            Role=f"arn:aws:iam::{ACCOUNT}:role/{role}",
            DatabaseName="zoo",
            Targets={"S3Targets": [{"Path": f"s3://lake/{folder}/"}]},
            Configuration=json.dumps(
                {
                    "Version": 1.0,
                    "CrawlerOutput": {
                        "Partitions": {"AddOrUpdateBehavior": "InheritFromTable"},
                        "Tables": {"AddOrUpdateBehavior": "MergeNewColumns"},
                    },
                }
            ),
        )
    account.write(
        "zoo/Animals-2/day=1/a.parquet",
        Name=["ada", "bea"],
        legs=pa.array([4, 2], pa.int64()),
        weight=pa.array([None, 1e10]),
        tags=[["x", None], []],
        home=[{"City": "Ulm"}, None],
    )
    account.write("zoo/Animals-2/day=1/_part.parquet", hidden=[1])
    account.write("zoo/birds/b.parquet", name=["bea"], wings=pa.array([2], pa.int32()))
    account.crawl("animals")
    account.crawl("birds")


# ------------------------------------------------------------------------------------------------ Glue job runs


def test_a_run_is_the_script_with_the_jobs_arguments_and_role(account):
    account.job("echo", ECHO)

    run_id = account.glue.start_job_run(JobName="echo", Arguments={"--size": "2"})["JobRunId"]

    run = account.run_ends("echo", run_id)
    assert (run["JobRunState"], run["Arguments"]) == ("SUCCEEDED", {"--size": "2"})
    assert (run_id[:3], len(run_id)) == ("jr_", 67)
    given = json.loads(account.s3.get_object(Bucket="lake", Key="out/arguments.json")["Body"].read())
    assert given == ["--color", "red", "--size", "2", "--JOB_NAME", "echo", "--JOB_RUN_ID", run_id]
    event = account.event(jobRunId=run_id)
    assert (event["source"], event["detail-type"]) == ("aws.glue", "Glue Job State Change")
    assert event["detail"] == {
        "jobName": "echo",
        "severity": "INFO",
        "state": "SUCCEEDED",
        "jobRunId": run_id,
        "message": "Job run succeeded",
    }


def test_a_run_finds_the_modules_of_its_extra_files(account):
    modules = io.BytesIO()
    with zipfile.ZipFile(modules, "w") as archive:
        archive.writestr("colors.py", "PAINT = 'green'")
    account.s3.put_object(Bucket="lake", Key="scripts/modules.zip", Body=modules.getvalue())
    account.job("paint", PAINT)
    arguments = {"--extra-py-files": "s3://lake/scripts/modules.zip"}

    run_id = account.glue.start_job_run(JobName="paint", Arguments=arguments)["JobRunId"]

    assert account.run_ends("paint", run_id)["JobRunState"] == "SUCCEEDED"
    assert account.s3.get_object(Bucket="lake", Key="out/color")["Body"].read() == b"green"


@pytest.mark.parametrize(
    ("name", "script", "reason"),
    [("broken", BROKEN, "ValueError: no such luck"), ("nosy", ONE_ACROSS, "AccessDenied")],
)
def test_a_run_fails_with_the_last_exception_of_the_script(account, name, script, reason):
    account.job(name, script)

    run_id = account.glue.start_job_run(JobName=name)["JobRunId"]

    run = account.run_ends(name, run_id)
    assert run["JobRunState"] == "FAILED"
    assert reason in run["ErrorMessage"]
    assert account.event(jobRunId=run_id)["detail"]["message"] == run["ErrorMessage"]


def test_a_job_runs_once_at_a_time_and_can_be_stopped(account):
    account.job("endless", ENDLESS)
    run_id = account.glue.start_job_run(JobName="endless")["JobRunId"]

    with pytest.raises(account.glue.exceptions.ConcurrentRunsExceededException):
        account.glue.start_job_run(JobName="endless")
    stopped = account.glue.batch_stop_job_run(JobName="endless", JobRunIds=[run_id, "jr_unknown"])

    assert [run["JobRunId"] for run in stopped["SuccessfulSubmissions"]] == [run_id]
    assert [error["ErrorDetail"]["ErrorCode"] for error in stopped["Errors"]] == ["EntityNotFoundException"]
    assert account.run_ends("endless", run_id)["JobRunState"] == "STOPPED"
    assert [run["Id"] for run in account.glue.get_job_runs(JobName="endless")["JobRuns"]] == [run_id]
    assert account.event(jobRunId=run_id)["detail"]["state"] == "STOPPED"


def test_with_queuing_a_run_waits_for_the_one_before_it_and_can_be_stopped_in_the_queue(account):
    account.job("patient", ENDLESS, JobRunQueuingEnabled=True)
    first, second, third = (account.glue.start_job_run(JobName="patient")["JobRunId"] for _ in range(3))

    waiting = account.glue.get_job_run(JobName="patient", RunId=third)["JobRun"]
    assert (waiting["JobRunState"], waiting["StateDetail"]) == (
        "WAITING",
        "Waiting for one of 1 concurrent runs of patient to end",
    )
    account.glue.batch_stop_job_run(JobName="patient", JobRunIds=[third])
    assert account.glue.get_job_run(JobName="patient", RunId=third)["JobRun"]["JobRunState"] == "STOPPED"
    assert account.event(jobRunId=third)["detail"]["state"] == "STOPPED"
    assert account.glue.get_job_run(JobName="patient", RunId=second)["JobRun"]["JobRunState"] == "WAITING"

    account.glue.batch_stop_job_run(JobName="patient", JobRunIds=[first])
    assert account.run_ends("patient", first)["JobRunState"] == "STOPPED"
    began = until(
        lambda: account.glue.get_job_run(JobName="patient", RunId=second)["JobRun"],
        lambda run: run["JobRunState"] == "RUNNING",
    )
    assert "StateDetail" not in began
    account.glue.batch_stop_job_run(JobName="patient", JobRunIds=[second])
    assert account.run_ends("patient", second)["JobRunState"] == "STOPPED"


def test_a_run_may_say_for_itself_whether_it_waits(account):
    account.job("moody", ENDLESS, ExecutionProperty={"MaxConcurrentRuns": 2}, JobRunQueuingEnabled=True)
    runs = [account.glue.start_job_run(JobName="moody")["JobRunId"] for _ in range(2)]

    with pytest.raises(account.glue.exceptions.ConcurrentRunsExceededException):
        account.glue.start_job_run(JobName="moody", JobRunQueuingEnabled=False)

    account.glue.batch_stop_job_run(JobName="moody", JobRunIds=runs)
    assert {account.run_ends("moody", run)["JobRunState"] for run in runs} == {"STOPPED"}


# ------------------------------------------------------------------------------------------------ crawls


def test_a_crawl_makes_a_table_of_a_folder_and_partitions_of_its_subfolders(account):
    table = account.glue.get_table(DatabaseName="zoo", Name="animals_2")["Table"]
    assert {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]} == {
        "name": "string",
        "legs": "bigint",
        "weight": "double",
        "tags": "array<string>",
        "home": "struct<city:string>",
    }
    assert table["StorageDescriptor"]["Location"] == "s3://lake/zoo/Animals-2/"
    assert [(key["Name"], key["Type"]) for key in table["PartitionKeys"]] == [("day", "string")]
    [partition] = account.glue.get_partitions(DatabaseName="zoo", TableName="animals_2")["Partitions"]
    assert partition["Values"] == ["1"]
    assert partition["StorageDescriptor"]["Location"] == "s3://lake/zoo/Animals-2/day=1/"


def test_a_crawl_adds_new_columns_to_the_table_and_to_its_partitions(account):
    account.write("zoo/birds/c.parquet", name=["cleo"], wings=["many"], Songs=pa.array([3], pa.int64()))

    crawl = account.crawl("birds")

    assert crawl["Status"] == "SUCCEEDED"
    columns = account.glue.get_table(DatabaseName="zoo", Name="birds")["Table"]["StorageDescriptor"]["Columns"]
    assert [(column["Name"], column["Type"]) for column in columns] == [
        ("name", "string"),
        ("wings", "int"),
        ("songs", "bigint"),
    ]
    detail = account.event(crawlerName="birds", state="Succeeded", tablesUpdated="1")["detail"]
    assert (detail["tablesCreated"], detail["partitionsCreated"]) == ("0", "0")
    assert int(detail["runningTime (sec)"]) >= 1
    account.s3.delete_object(Bucket="lake", Key="zoo/birds/c.parquet")


@pytest.mark.parametrize(("pattern", "found"), [("bi.*", ["birds"]), ("(b|x)irds", ["birds"]), ("ird", [])])
def test_tables_are_listed_by_a_regular_expression(account, pattern, found):
    listed = account.glue.get_tables(DatabaseName="zoo", Expression=pattern, AttributesToGet=["NAME"])["TableList"]

    assert [table["Name"] for table in listed] == found


def test_glue_omits_what_was_never_set(account):
    account.job("undescribed", ECHO)
    [listed] = [table for table in account.glue.get_tables(DatabaseName="zoo")["TableList"] if table["Name"] == "birds"]

    for found in (
        account.glue.get_database(Name="zoo")["Database"],
        account.glue.get_table(DatabaseName="zoo", Name="birds")["Table"],
        listed,
        account.glue.get_crawler(Name="animals")["Crawler"],
        account.glue.get_job(JobName="undescribed")["Job"],
    ):
        assert (
            not {"Description", "SecurityConfiguration", "Schedule", "TablePrefix", "ViewOriginalText"} & found.keys()
        )
        assert None not in found.values()
    account.glue.create_database(DatabaseInput={"Name": "described", "Description": "All of it"})
    assert account.glue.get_database(Name="described")["Database"]["Description"] == "All of it"
    account.glue.delete_database(Name="described")


@pytest.fixture(scope="module")
def diary(account):
    input_format, output_format = FILE_FORMATS[OPEN_CSV]  # Trino lists no columns at all if a table lacks them
    storage = {
        "Columns": [{"Name": "text", "Type": "string"}],
        "Location": "s3://lake/diary/",
        "InputFormat": input_format,
        "OutputFormat": output_format,
        "SerdeInfo": {"SerializationLibrary": OPEN_CSV},
    }
    keys = [{"Name": "year", "Type": "int"}, {"Name": "day", "Type": "string"}]
    table = {"Name": "diary", "PartitionKeys": keys, "StorageDescriptor": storage}
    account.glue.create_table(DatabaseName="zoo", TableInput=table)
    names = {"DatabaseName": "zoo", "TableName": "diary"}
    values = [["2025", "12"], ["2026", "1"], ["2026", "10"], ["2026", "2"]]
    partitions = [{"Values": each, "StorageDescriptor": storage} for each in values]
    assert not account.glue.batch_create_partition(**names, PartitionInputList=partitions)["Errors"]
    yield names
    account.glue.delete_table(DatabaseName="zoo", Name="diary")


def partitions_of(answers):
    return sorted("-".join(partition["Values"]) for answer in answers for partition in answer["Partitions"])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("year = 2026 AND day IN ('1', '2')", ["2026-1", "2026-2"]),
        ("(year = 2025) OR (day = '10')", ["2025-12", "2026-10"]),
        ("year > 2025 AND day >= '10'", ["2026-10", "2026-2"]),
        ("day LIKE '1%'", ["2025-12", "2026-1", "2026-10"]),
        ("year BETWEEN 2020 AND 2025", ["2025-12"]),
        ("NOT year = 2026", ["2025-12"]),
    ],
)
def test_partitions_are_found_by_an_expression(account, diary, expression, expected):
    assert partitions_of([account.glue.get_partitions(**diary, Expression=expression)]) == expected


def test_an_expression_of_an_unknown_key_is_refused(account, diary):
    with pytest.raises(account.glue.exceptions.InvalidInputException, match="month"):
        account.glue.get_partitions(**diary, Expression="month = 1")


def test_partitions_come_in_pages_and_segments(account, diary):
    all_of_them = ["2025-12", "2026-1", "2026-10", "2026-2"]
    pages = list(account.glue.get_paginator("get_partitions").paginate(**diary, PaginationConfig={"PageSize": 3}))
    segments = [
        account.glue.get_partitions(**diary, Segment={"SegmentNumber": number, "TotalSegments": 3})
        for number in range(3)
    ]

    assert [len(page["Partitions"]) for page in pages] == [3, 1]
    assert partitions_of(pages) == partitions_of(segments) == all_of_them


def test_a_partition_is_updated(account, diary):
    [partition] = account.glue.get_partitions(**diary, Expression="year = 2025")["Partitions"]
    storage = partition["StorageDescriptor"] | {"Location": "s3://lake/elsewhere/"}
    changed = {"Values": ["2025", "12"], "StorageDescriptor": storage}

    account.glue.update_partition(**diary, PartitionValueList=["2025", "12"], PartitionInput=changed)

    found = account.glue.get_partition(**diary, PartitionValues=["2025", "12"])["Partition"]
    assert found["StorageDescriptor"]["Location"] == "s3://lake/elsewhere/"
    with pytest.raises(account.glue.exceptions.EntityNotFoundException):
        account.glue.update_partition(**diary, PartitionValueList=["1999", "1"], PartitionInput=changed)


def test_a_folder_without_data_files_becomes_no_table(account):
    account.s3.put_object(Bucket="lake", Key="zoo/nothing/_SUCCESS", Body=b"x")

    assert account.crawl("nothing")["Status"] == "SUCCEEDED"

    with pytest.raises(account.glue.exceptions.EntityNotFoundException):
        account.glue.get_table(DatabaseName="zoo", Name="nothing")


def test_a_crawl_fails_where_its_role_may_not_look(account):
    crawl = account.crawl("blind")

    assert crawl["Status"] == "FAILED"
    detail = account.event(crawlerName="blind", state="Failed")["detail"]
    assert (detail["message"], "AccessDenied" in detail["errorMessage"]) == ("Crawler Failed", True)
    assert [crawl["State"] for crawl in account.glue.list_crawls(CrawlerName="blind")["Crawls"]] == ["FAILED"]


# ------------------------------------------------------------------------------------------------ Athena


def test_values_are_printed_as_athena_prints_them(account):
    assert account.query("SELECT * FROM animals_2 ORDER BY name") == [
        ("name", "legs", "weight", "tags", "home", "day"),
        ("ada", "4", None, "[x, null]", "{city=Ulm}", "1"),
        ("bea", "2", "1.0E10", "[]", None, "1"),
    ]


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("SELECT sum(legs) / 4 FROM animals_2", "1"),
        ("SELECT count(*) FROM animals_2 JOIN birds USING (name)", "1"),
        ("WITH birds AS (SELECT 1 AS one) SELECT one FROM birds", "1"),
        ("SELECT element_at(MAP(ARRAY['a'], ARRAY[1.5]), 'a')", "1.5"),
        ("SELECT cardinality(tags) FROM animals_2 WHERE home.city = 'Ulm'", "2"),
        ("SELECT tag FROM animals_2 CROSS JOIN UNNEST(tags) AS t(tag) WHERE tag IS NOT NULL", "x"),
        ("SELECT date_diff('day', date '2026-11-01', date '2026-11-23')", "22"),
        ("SELECT date_parse('2026-11-23', '%Y-%m-%d')", "2026-11-23 00:00:00.000"),
        ("SELECT json_extract_scalar('{\"a\": {\"b\": 7}}', '$.a.b')", "7"),
        ("SELECT TRY_CAST('x' AS bigint)", None),
        ("SELECT CAST(1.10 AS decimal(5, 3))", "1.100"),
        ("SELECT count(*) FROM information_schema.columns WHERE table_name = 'animals_2'", "6"),
        ("SELECT data_type FROM information_schema.columns WHERE column_name = 'home'", "row(city varchar)"),
        ('SELECT count(*) FROM "awsdatacatalog"."zoo"."Animals_2"', "2"),
    ],
)
def test_athenas_dialect_is_understood(account, sql, value):
    assert account.query(sql)[1] == (value,)


def test_only_partitions_that_the_catalog_has_are_seen(account):
    account.write("zoo/Animals-2/day=2/a.parquet", Name=["eve"])

    before = account.query("SELECT name FROM animals_2 WHERE day = '2'")
    account.crawl("animals")

    assert before == [("name",)]
    assert account.query("SELECT name, legs FROM animals_2 WHERE day = '2'") == [("name", "legs"), ("eve", None)]
    account.glue.delete_partition(DatabaseName="zoo", TableName="animals_2", PartitionValues=["2"])


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT 1 FROM unicorns", "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.zoo.unicorns' does not exist"),
        ("SELECT horn FROM birds", "COLUMN_NOT_FOUND: line 1:8: Column 'horn' cannot be resolved"),
        ("CREATE VIEW v AS SELECT horn FROM birds", "COLUMN_NOT_FOUND: line 1:25: Column 'horn' cannot be resolved"),
        ("SELECT 1 FROM attic.birds", "SCHEMA_NOT_FOUND: line 1:15: Schema 'attic' does not exist"),
    ],
)
def test_a_query_fails_with_the_reason_that_athena_gives(account, sql, reason):
    assert without_position(account.refusal(sql)).startswith(without_position(reason))


def without_position(message):
    return re.sub(r"line \d+:\d+", "line", message)  # positions are approximate with DuckDB


def test_what_is_no_sql_is_not_even_queued(account):
    with pytest.raises(ClientError, match=r"InvalidRequestException.* mismatched input 'selct'"):
        account.ask("selct 1")


def test_a_query_may_have_so_many_bytes_and_no_more(account):
    most = 262_144
    longest = "SELECT 'é" + "x" * (most - len("SELECT 'é'".encode())) + "'"

    assert account.ask(longest)["Status"]["State"] == "SUCCEEDED"
    with pytest.raises(
        ClientError, match=r"InvalidRequestException.* Member must have length less than or equal to 2621"
    ):
        account.ask(f"{longest} ")


def test_a_view_is_kept_as_athena_keeps_it_and_follows_its_tables(account):
    account.ask("CREATE OR REPLACE VIEW heavy AS SELECT name, weight, home FROM animals_2 WHERE weight > 1")

    view = account.glue.get_table(DatabaseName="zoo", Name="heavy")["Table"]
    assert (view["TableType"], view["ViewExpandedText"]) == ("VIRTUAL_VIEW", "/* Presto View */")
    assert (view["Owner"], "Description" in view) == ("hadoop", False)
    assert view["Parameters"].items() >= {"presto_view": "true", "comment": "Presto View"}.items()
    assert [column["Type"] for column in view["StorageDescriptor"]["Columns"]] == [
        "string",
        "double",
        "struct<city:string>",
    ]
    encoded = view["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
    stored = json.loads(base64.b64decode(encoded))
    shortened = re.sub(r"[\s()]", "", stored["originalSql"])  # Trino writes the query in its own way
    assert shortened == "SELECTname,weight,homeFROManimals_2WHEREweight>1"
    assert {name: stored[name] for name in ("catalog", "schema", "columns")} == {
        "catalog": "awsdatacatalog",
        "schema": "zoo",
        "columns": [
            {"name": "name", "type": "varchar"},
            {"name": "weight", "type": "double"},
            {"name": "home", "type": 'row("city" varchar)'},
        ],
    }
    assert account.query("SELECT upper(h.name) AS n FROM heavy h JOIN birds b ON b.name = h.name") == [
        ("n",),
        ("BEA",),
    ]
    assert ("heavy",) in account.query("SHOW VIEWS")
    assert account.query("SHOW CREATE VIEW heavy")[0] == ("CREATE VIEW zoo.heavy AS",)


def test_the_type_of_a_view_quotes_the_names_of_fields(account):
    account.write("zoo/words/a.parquet", words=[{"null": "n", "order": {"lines": [{"date": "d"}]}}])
    hive = "struct<null:string,order:struct<lines:array<struct<date:string>>>>"
    account.ask(f"CREATE EXTERNAL TABLE words (words {hive}) STORED AS PARQUET LOCATION 's3://lake/zoo/words/'")
    account.ask('CREATE OR REPLACE VIEW "zoo"."quoting" AS SELECT words FROM words')

    view = account.glue.get_table(DatabaseName="zoo", Name="quoting")["Table"]
    encoded = view["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
    assert json.loads(base64.b64decode(encoded))["columns"] == [
        {"name": "words", "type": 'row("null" varchar,"order" row("lines" array(row("date" varchar))))'}
    ]
    assert account.query("SELECT data_type FROM information_schema.columns WHERE table_name = 'quoting'")[1] == (
        "row(null varchar, order row(lines array(row(date varchar))))",
    )


def test_a_view_of_every_column_goes_stale_when_its_table_gains_one(account):
    account.write("zoo/wide/a.parquet", one=[1])
    account.ask("CREATE EXTERNAL TABLE wide (one bigint) STORED AS PARQUET LOCATION 's3://lake/zoo/wide/'")
    account.ask("CREATE VIEW all_of_it AS SELECT * FROM wide")
    account.ask("CREATE VIEW some_of_it AS SELECT one FROM wide")
    table = account.glue.get_table(DatabaseName="zoo", Name="wide")["Table"]
    table["StorageDescriptor"]["Columns"].append({"Name": "two", "Type": "string"})
    account.glue.update_table(
        DatabaseName="zoo", TableInput={"Name": "wide", "StorageDescriptor": table["StorageDescriptor"]}
    )

    assert account.refusal("SELECT * FROM all_of_it").startswith("VIEW_IS_STALE")
    assert account.query("SELECT * FROM some_of_it") == [("one",), ("1",)]


def test_a_query_is_asked_once_however_often_its_token_comes(account):
    token = {"ClientRequestToken": "t" * 40}
    first = account.ask("SELECT 1 AS one", **token)["QueryExecutionId"]

    assert account.ask("SELECT 1 AS one", **token)["QueryExecutionId"] == first
    with pytest.raises(ClientError, match=r"InvalidRequestException.* Idempotent parameters do not match"):
        account.ask("SELECT 2 AS two", **token)


def test_a_query_leaves_its_result_in_s3_and_announces_each_state(account):
    execution = account.ask("SELECT 'a \"b\"' AS text, CAST(NULL AS varchar) AS nothing")

    query_id = execution["QueryExecutionId"]
    output = execution["ResultConfiguration"]["OutputLocation"]
    assert output == f"s3://lake/results/{query_id}.csv"
    kept = account.s3.list_objects_v2(Bucket="lake", Prefix=f"results/{query_id}")["Contents"]
    assert [item["Key"] for item in kept] == [f"results/{query_id}.csv"]
    content = account.s3.get_object(Bucket="lake", Key=f"results/{query_id}.csv")["Body"].read()
    assert content == b'"text","nothing"\n"a ""b""",\n'
    states = [
        account.event(queryExecutionId=query_id, sequenceNumber=str(number))["detail"]["currentState"]
        for number in (1, 2, 3)
    ]
    assert states == ["QUEUED", "RUNNING", "SUCCEEDED"]


@pytest.mark.not_on_trino("Trino reads and writes the catalog as root")
def test_a_functions_queries_may_do_no_more_than_its_role(account):
    zoo = [f"arn:aws:glue:us-east-1:{ACCOUNT}:{what}" for what in ("catalog", "database/zoo", "table/zoo/*")]
    results = allow("s3:*", "arn:aws:s3:::lake", "arn:aws:s3:::lake/results/*")
    reading = allow(["glue:GetDatabase", "glue:GetTable"], *zoo)
    role = account.role("publisher", "lambda", allow("athena:*", "*"), results, reading)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("handler.py", "def handle(event, context): pass")
    account.client("lambda").create_function(
        FunctionName="table-exports-publisher",
        Runtime="python3.13",
        Handler="handler.handle",
        Role=role,
        Code={"ZipFile": code.getvalue()},
    )
    sql = "CREATE VIEW published AS SELECT name FROM birds"

    denied = account.ask(sql, app="publisher")["Status"]
    writing = allow(["glue:CreateTable"], *zoo)
    account.iam.put_role_policy(RoleName="publisher", PolicyName="more", PolicyDocument=policy(writing))
    allowed = account.ask(sql, app="publisher")["Status"]

    assert denied["State"] == "FAILED"
    assert "glue:CreateTable" in denied["StateChangeReason"]
    assert allowed["State"] == "SUCCEEDED"


def test_results_name_the_types_of_their_columns(account):
    sql = (
        "SELECT name, legs, weight, tags, home, CAST(1.5 AS decimal(5, 2)) AS price, CAST(1 AS real) AS small, "
        "legs > 2 AS quick, date '2026-11-23' AS day_of, CAST(NULL AS timestamp) AS never, "
        "MAP(ARRAY['a'], ARRAY[1]) AS counts, to_utf8('a') AS bytes, "
        "from_iso8601_timestamp('2026-11-23T02:00:00Z') AS moment FROM animals_2"
    )

    query_id = account.ask(sql)["QueryExecutionId"]

    answer = account.athena.get_query_results(QueryExecutionId=query_id)["ResultSet"]
    described = [(each["Type"], each["Precision"], each["Scale"]) for each in answer["ResultSetMetadata"]["ColumnInfo"]]
    assert described == [
        ("varchar", 2147483647, 0),
        ("bigint", 19, 0),
        ("double", 17, 0),
        ("array", 0, 0),
        ("row", 0, 0),
        ("decimal", 5, 2),
        ("float", 17, 0),
        ("boolean", 0, 0),
        ("date", 0, 0),
        ("timestamp", 3, 0),
        ("map", 0, 0),
        ("varbinary", 0, 0),
        ("timestamp with time zone", 3, 0),
    ]
    values = {row["Data"][0]["VarCharValue"]: row["Data"] for row in answer["Rows"][1:]}
    assert values["ada"][5:9] == [{"VarCharValue": text} for text in ("1.50", "1.0", "true", "2026-11-23")]
    assert values["ada"][9] == {}
    assert values["ada"][10:] == [{"VarCharValue": text} for text in ("{a=1}", "61", "2026-11-23 02:00:00.000 UTC")]


def test_hives_statements_change_the_catalog(account):
    def run(sql):
        assert account.ask(sql)["Status"]["State"] == "SUCCEEDED", sql

    run("CREATE DATABASE IF NOT EXISTS farm COMMENT 'All of it'")
    run("CREATE SCHEMA IF NOT EXISTS farm")
    assert account.glue.get_database(Name="farm")["Database"]["Description"] == "All of it"
    assert ("farm",) in account.query("SHOW DATABASES")
    run(
        "CREATE EXTERNAL TABLE farm.birds (name string) PARTITIONED BY (year int, day string) STORED AS PARQUET "
        "LOCATION 's3://lake/farm/birds/'"
    )
    account.write("farm/birds/year=2026/day=1/a.parquet", name=["eve"])
    run("ALTER TABLE farm.birds ADD PARTITION (day = '1', year = 2026)")
    run(
        "ALTER TABLE farm.birds ADD IF NOT EXISTS PARTITION (year=2026, day='1') "
        "PARTITION (year=2026, day='2') LOCATION 's3://lake/zoo/birds/'"
    )
    assert account.query("SHOW PARTITIONS farm.birds") == [("year=2026/day=1",), ("year=2026/day=2",)]
    assert account.query("SELECT name, year, day FROM farm.birds ORDER BY day") == [
        ("name", "year", "day"),
        ("eve", "2026", "1"),
        ("bea", "2026", "2"),
    ]
    assert "AlreadyExistsException" in account.refusal("ALTER TABLE farm.birds ADD PARTITION (year=2026, day='2')")
    assert "['year', 'day']" in account.refusal("ALTER TABLE farm.birds ADD PARTITION (day='3')")
    run("ALTER TABLE farm.birds DROP PARTITION (year=2026, day='1')")
    assert account.query("SELECT name FROM farm.birds") == [("name",), ("bea",)]
    assert "is not empty" in account.refusal("DROP DATABASE farm")
    run("DROP DATABASE farm CASCADE")
    assert "does not exist: farm" in account.refusal("DROP SCHEMA farm")


def test_a_query_becomes_a_table_or_files(account):
    made = account.ask("CREATE TABLE few WITH (write_compression = 'SNAPPY') AS SELECT name, legs FROM animals_2")
    unloaded = account.ask(
        "UNLOAD (SELECT name FROM animals_2) TO 's3://lake/unloaded/' WITH (format = 'PARQUET', compression = 'SNAPPY')"
    )

    for execution in (made, unloaded):
        assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]["StateChangeReason"]
        _, _, key = execution["Statistics"]["DataManifestLocation"].removeprefix("s3://").partition("/")
        [file] = account.s3.get_object(Bucket="lake", Key=key)["Body"].read().decode().split()
        bucket, _, key = file.removeprefix("s3://").partition("/")
        content = account.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert sorted(pq.read_table(io.BytesIO(content)).column("name").to_pylist()) == ["ada", "bea"]
    assert file.startswith("s3://lake/unloaded/")
    assert account.query("SELECT name, legs FROM few ORDER BY 1")[1:] == [("ada", "4"), ("bea", "2")]
    location = account.glue.get_table(DatabaseName="zoo", Name="few")["Table"]["StorageDescriptor"]["Location"]
    assert location.rstrip("/") == f"s3://lake/results/tables/{made['QueryExecutionId']}"
    assert not [name for (name,) in account.query("SHOW TABLES") if name.startswith("unload")]
    account.ask("DROP TABLE few")


# ------------------------------------------------------------------------------------------------ the rest


def test_a_role_may_start_the_crawlers_it_names_and_no_others(account):
    account.role("starter", "glue", allow("glue:StartCrawler", f"arn:aws:glue:us-east-1:{ACCOUNT}:crawler/noth*"))
    issued = account.sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/starter", RoleSessionName="test")[
        "Credentials"
    ]
    glue = boto3.Session(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"]).client(
        "glue", endpoint_url=account.endpoint, region_name="us-east-1"
    )

    glue.start_crawler(Name="nothing")

    with pytest.raises(ClientError, match="AccessDenied"):
        glue.start_crawler(Name="birds")


def test_a_disabled_rule_gets_no_event(account):
    queue = account.sqs.create_queue(QueueName="nobody")["QueueUrl"]
    account.events.put_rule(Name="asleep", EventPattern='{"source": ["aws.athena"]}', State="DISABLED")
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:nobody"
    account.events.put_targets(Rule="asleep", Targets=[{"Id": "queue", "Arn": arn}])

    query_id = account.ask("SELECT 1")["QueryExecutionId"]

    account.event(queryExecutionId=query_id, currentState="SUCCEEDED")
    assert "Messages" not in account.sqs.receive_message(QueueUrl=queue)


def test_a_sam_template_deploys_with_its_archives(account):
    template = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": {"Days": {"Type": "Number", "Default": 3}},
        "Resources": {
            "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "zoo"}},
            "Memory": {
                "Type": "AWS::Events::Archive",
                "Properties": {
                    "ArchiveName": "zoo-memory",
                    "SourceArn": {"Fn::GetAtt": ["Bus", "Arn"]},
                    "RetentionDays": {"Ref": "Days"},
                    "EventPattern": {"source": ["zoo"]},
                },
            },
            "Table": {"Type": "AWS::Serverless::SimpleTable"},
        },
    }

    account.cloudformation.create_stack(
        StackName="zoo", TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_AUTO_EXPAND"]
    )

    waiting = {"Delay": 0.2, "MaxAttempts": 600}
    account.cloudformation.get_waiter("stack_create_complete").wait(StackName="zoo", WaiterConfig=waiting)
    archive = account.events.describe_archive(ArchiveName="zoo-memory")
    assert archive["EventSourceArn"] == f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/zoo"
    assert (archive["RetentionDays"], json.loads(archive["EventPattern"])) == (3, {"source": ["zoo"]})
    account.cloudformation.delete_stack(StackName="zoo")
    account.cloudformation.get_waiter("stack_delete_complete").wait(StackName="zoo", WaiterConfig=waiting)
    assert account.events.list_archives()["Archives"] == []


def test_a_port_in_use_is_named(account):
    port = account.endpoint.rpartition(":")[2]

    second = subprocess.run(
        [sys.executable, "-m", "sandbox", "--port", port], cwd=ROOT, capture_output=True, text=True, timeout=30
    )

    assert second.returncode == 1
    assert f"Port {port} cannot be used" in second.stderr


def test_columns_without_a_name_are_named_as_trino_names_them(account):
    sql = (
        "SELECT count(*), CAST(1 AS double), x.y, 2 AS two FROM (SELECT CAST(ROW(7) AS ROW(y bigint)) AS x) GROUP BY x"
    )

    assert account.query(sql)[0] == ("_col0", "_col1", "y", "two")


def test_times_with_a_zone_are_printed(account):
    [_, (moment,)] = account.query("SELECT from_iso8601_timestamp('2026-11-23T02:00:00Z')")

    assert moment.startswith("2026-11-23 02:00:00")


def test_a_job_whose_process_is_killed_says_so(account):
    account.job("suicidal", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")

    run = account.run_ends("suicidal", account.glue.start_job_run(JobName="suicidal")["JobRunId"])

    assert (run["JobRunState"], run["ErrorMessage"]) == ("FAILED", "The job's process was killed by signal 9")
