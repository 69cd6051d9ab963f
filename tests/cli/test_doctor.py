"""The checks whose problems the sandbox cannot cause, with answers in the shapes of botocore's models."""

import base64
import hashlib
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from examples import a_pipeline
from templates import resource as template_resource
from templates import template

from table_exports.domain import catalog
from table_exports.domain.errors import RetryableError
from table_exports_cli import doctor, output, queryable, running
from table_exports_cli.deployed import CannotTell, Deployed
from table_exports_cli.deployed_code import artifact
from table_exports_cli.findings import RESTORE, Finding
from table_exports_cli.problems import in_words
from table_exports_cli.replays import AWS_EVENTS, REQUESTS

STACK = a_pipeline().stack_id
COMMON = "arn:aws:cloudformation:us-east-1:123456789012:stack/table-exports/1"
TOPIC = "arn:aws:sns:us-east-1:123456789012:table-exports-alarms"


OUTPUTS = [
    {"OutputKey": "DatabaseName", "OutputValue": "exports"},
    {"OutputKey": "BucketName", "OutputValue": "bucket"},
]

LAKE_FORMATION = ClientError(
    {
        "Error": {
            "Code": "AccessDeniedException",
            "Message": "Insufficient Lake Formation permission(s): Required Describe on exports",
        }
    },
    "GetDatabase",
)


class Gone(Exception):
    """What a client raises for something that does not exist."""


class Answers:
    """A client of every service: one answer for each operation, in one page."""

    exceptions = SimpleNamespace(
        EntityNotFoundException=Gone,
        InvalidRequestException=Gone,
        NoSuchBucket=Gone,
        NoSuchEntityException=Gone,
        QueueDoesNotExist=Gone,
        ResourceNotFoundException=Gone,
    )

    meta = SimpleNamespace(events=SimpleNamespace(register=lambda *_: None))

    def __init__(self, **answers):
        self._answers, self.requests = answers, []

    def __getattr__(self, operation):
        def call(**given):
            self.requests.append((operation, given))
            answer = self._answers[operation]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def get_paginator(self, operation):
        return SimpleNamespace(paginate=lambda **given: [getattr(self, operation)(**given)])


@pytest.fixture
def deployed():
    """What is deployed, with some of AWS's answers."""

    def make(
        *pipelines, common="CREATE_COMPLETE", table="CREATE_COMPLETE", resources=(), outputs=(), holders=None, **answers
    ):
        stacks = [
            {
                "StackId": stack,
                "StackName": name,
                "StackStatus": status,
                "Outputs": [*outputs, *OUTPUTS],
                "Parameters": [
                    {"ParameterKey": "ArtifactsBucket", "ParameterValue": "artifacts"},
                    {"ParameterKey": "ArtifactsPrefix", "ParameterValue": "table-exports/1"},
                ],
            }
            for stack, name, status in ((COMMON, "table-exports", common), (STACK, "orders", table))
            if status
        ]
        answers |= {"describe_stacks": {"Stacks": stacks}}
        answers |= {"list_stack_resources": {"StackResourceSummaries": list(resources)}}
        client = Answers(**answers)
        records = SimpleNamespace(pipelines=lambda: pipelines, holders=lambda: holders or {})
        return Deployed(SimpleNamespace(client=lambda _: client, records=records))

    return make


def test_a_name_that_a_vanished_stack_holds_is_told(deployed):
    lost = ("lost-csv", "arn:aws:cloudformation:us-east-1:123456789012:stack/lost/1")
    holders = {"orders": ("orders-parquet", STACK), "lost": lost, "lost_entity": lost}

    found = deployed(a_pipeline(pipeline="orders-parquet"), holders=holders)

    assert reported(doctor.stacks, found) == [("lost-csv", "its catalog name is taken by a table stack that is gone")]


def reported(check, deployed):
    return [(problem.subject, problem.description) for problem in check(deployed)]


def resource(kind, physical, logical="X"):
    found = {"ResourceType": kind, "LogicalResourceId": logical}
    return found | ({"PhysicalResourceId": physical} if physical else {})


@pytest.mark.parametrize(
    ("common", "table", "problems"),
    [
        ("UPDATE_COMPLETE", "IMPORT_COMPLETE", []),
        ("UPDATE_ROLLBACK_COMPLETE", "CREATE_COMPLETE", []),  # as it was before
        ("UPDATE_IN_PROGRESS", "CREATE_COMPLETE", [("table-exports", "is being deployed: UPDATE_IN_PROGRESS")]),
        (
            "UPDATE_COMPLETE",
            "ROLLBACK_COMPLETE",
            [("reviews-parquet", "its last deployment failed: ROLLBACK_COMPLETE")],
        ),
        (
            "UPDATE_ROLLBACK_FAILED",
            None,
            [
                ("table-exports", "its last deployment could not be rolled back: no reason given"),
                ("reviews-parquet", "is registered, but its table stack is gone"),
            ],
        ),
        (
            "UPDATE_COMPLETE",
            "DELETE_FAILED",
            [("reviews-parquet", "its stack could not be deleted: no reason given")],
        ),
        (None, "CREATE_COMPLETE", [("table-exports", "there is a state table, but no stack of that name")]),
    ],
)
def test_stacks_are_deployed_and_none_is_halfway(deployed, common, table, problems):
    assert reported(doctor.stacks, deployed(a_pipeline(), common=common, table=table)) == problems


@pytest.mark.parametrize(
    ("scheduled", "state", "problems"),
    [
        (True, "ENABLED", []),
        (False, "DISABLED", []),
        (True, "DISABLED", ["was deployed with ScheduleState ENABLED, but its schedule is DISABLED"]),
        (False, "ENABLED", ["was deployed with ScheduleState DISABLED, but its schedule is ENABLED"]),
        (True, None, ["its schedule nightly is gone"]),
    ],
)
def test_a_schedule_is_as_it_was_deployed(deployed, scheduled, state, problems):
    reconciler = {"Name": "table-exports-reconcile_exports", "State": "ENABLED"}
    schedules = [reconciler, *([{"Name": "nightly", "State": state}] if state else [])]

    found = deployed(
        a_pipeline(scheduled=scheduled),
        resources=[resource("AWS::Scheduler::Schedule", "table-exports-reconcile_exports")],
        outputs=[{"OutputKey": "ScheduleName", "OutputValue": "nightly"}],
        list_schedules={"Schedules": schedules},
    )

    assert [what for _, what in reported(doctor.schedules, found)] == problems


def test_a_reconciler_that_is_never_called_is_told(deployed):
    found = deployed(
        resources=[resource("AWS::Scheduler::Schedule", "table-exports-reconcile_exports")],
        list_schedules={"Schedules": [{"Name": "table-exports-reconcile_exports", "State": "DISABLED"}]},
    )

    [(of, what)] = reported(doctor.schedules, found)
    assert (of, what.startswith("is DISABLED: lost events are not found")) == ("table-exports-reconcile_exports", True)


KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    ("encryption", "manager", "known", "problems"),
    [
        ({}, "", "", []),  # with the key that DynamoDB owns
        ({"SSEDescription": {"KMSMasterKeyArn": KEY}}, "AWS", "", []),
        ({"SSEDescription": {"KMSMasterKeyArn": KEY}}, "CUSTOMER", KEY, []),
        (
            {"SSEDescription": {"KMSMasterKeyArn": KEY}},
            "CUSTOMER",
            "",
            [f"Reviews is encrypted with the key {KEY}, which its table stack does not know"],
        ),
    ],
)
def test_a_key_that_a_table_stack_does_not_know_is_reported(deployed, encryption, manager, known, problems):
    found = deployed(
        a_pipeline(table_name="Reviews"),
        describe_table={"Table": {"TableStatus": "ACTIVE", **encryption}},
        describe_key={"KeyMetadata": {"KeyManager": manager}},
    )
    found.stacks[STACK]["Parameters"] = [{"ParameterKey": "TableKmsKeyArn", "ParameterValue": known}]

    assert [what for _, what in reported(doctor.tables, found)] == problems


def test_what_is_not_archived_cannot_be_replayed(deployed):
    archives = [{"ArchiveName": REQUESTS, "State": "ENABLED"}, {"ArchiveName": AWS_EVENTS, "State": "CREATE_FAILED"}]

    found = reported(doctor.archives, deployed(list_archives={"Archives": archives}))

    assert found == [(AWS_EVENTS, "is CREATE_FAILED: current events cannot be replayed")]


def test_an_address_that_has_not_confirmed_is_told_of_nothing(deployed):
    subscriptions = [
        {"SubscriptionArn": f"{TOPIC}:1", "Endpoint": "a@example.com"},
        {"SubscriptionArn": "PendingConfirmation", "Endpoint": "b@example.com"},
    ]
    found = deployed(
        resources=[resource("AWS::SNS::Topic", TOPIC, "Alarms")],
        list_subscriptions_by_topic={"Subscriptions": subscriptions},
    )

    assert reported(doctor.subscriptions, found) == [("b@example.com", "has not confirmed its subscription")]


def test_an_alarm_that_is_on_says_what_it_says_and_where_to_read_on(deployed):
    alarm = {
        "AlarmName": "table-exports-failing",
        "StateValue": "ALARM",
        "AlarmDescription": 'It failed. See docs/runbook.md, "failing"',
    }

    [problem] = doctor.quiet(deployed(describe_alarms={"MetricAlarms": [alarm], "CompositeAlarms": []}))

    assert (problem.description, problem.remedy) == ("It failed.", 'see docs/runbook.md, "failing"')


def test_names_are_found_in_aws_physical_ids(deployed):
    """A rule's has its bus, a composite alarm's and a topic's are ARNs; of a resource that failed there is none."""
    found = deployed(
        resources=[
            resource("AWS::Events::Rule", "table-exports|table-exports-start_export"),
            resource("AWS::Events::Rule", "table-exports-on_glue_complete"),
            resource("AWS::Events::Rule", None),
        ]
    )

    assert found.names("Events::Rule") == ["table-exports-start_export", "table-exports-on_glue_complete"]
    with pytest.raises(CannotTell, match="has no Alarms: make deploy"):
        found.named("Alarms")


def test_what_is_asked_for_and_gone_is_trouble_and_what_may_not_be_asked_is_unknown(deployed):
    def answered(code):
        refusal = ClientError({"Error": {"Code": code, "Message": "no"}}, "DescribeEventBus")
        return doctor._examined(doctor.roles, deployed(describe_event_bus=refusal))

    assert (answered("ResourceNotFoundException").state, answered("AccessDeniedException").state) == (
        "problem",
        "unknown",
    )


def test_a_check_of_which_aws_is_busy_is_unknown(deployed):
    def views(deployed):
        raise RetryableError("There is no manifest at s3://bucket/a: SlowDown: no message")

    found = doctor._examined(views, deployed())

    assert (found.state, found.unknown) == ("unknown", "There is no manifest at s3://bucket/a: SlowDown: no message")


def test_a_stack_that_is_gone_leaves_checks_unknown(deployed):
    found = doctor._examined(doctor.functions, deployed(common=None))

    assert (found.state, found.unknown) == ("unknown", "there is no stack table-exports")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"EvalDecision": "allowed"}, "ok"),
        ({"EvalDecision": "explicitDeny"}, "problem"),
        ({"EvalDecision": "implicitDeny", "MissingContextValues": ["aws:PrincipalTag/team"]}, "unknown"),
    ],
)
def test_what_a_simulation_cannot_know_is_no_trouble(deployed, result, expected):
    found = deployed(
        resources=[resource("AWS::IAM::Role", "ScheduleRole-1", "ScheduleRole")],
        describe_event_bus={"Arn": "arn:aws:events:us-east-1:123456789012:event-bus/table-exports"},
        simulate_principal_policy={"EvaluationResults": [result]},
        get_role={},
    )

    assert doctor._examined(doctor.roles, found).state == expected


def test_a_simulation_is_told_all_that_our_policies_ask_for(deployed):
    """Otherwise it denies on AWS what the roles may do."""
    pipeline = a_pipeline()
    found = deployed(
        pipeline,
        resources=[resource("AWS::IAM::Role", "ScheduleRole-1", "ScheduleRole")],
        describe_event_bus={"Arn": "arn:aws:events:us-east-1:123456789012:event-bus/table-exports"},
        simulate_principal_policy={"EvaluationResults": [{"EvalDecision": "allowed"}]},
        get_role={},
        get_jobs={"Jobs": [{"Name": pipeline.glue_job_name, "Role": "arn:aws:iam::123456789012:role/a/job"}]},
        get_crawlers={"Crawlers": []},
        describe_table={"Table": {"TableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/Reviews"}},
    )

    assert reported(doctor.roles, found) == []

    asked = {
        given["ActionNames"][0]: {entry["ContextKeyName"] for entry in given["ContextEntries"]}
        for operation, given in found.client("iam").requests
        if operation == "simulate_principal_policy"
    }
    for action, stack, role in [
        ("events:PutEvents", "common", "ScheduleRole"),
        ("dynamodb:Scan", "table", "JobRole"),
        ("s3:PutObject", "table", "JobRole"),
    ]:
        assert condition_keys(template_resource(stack, role), action) <= asked[action]


def condition_keys(role, action):
    statements = [each for policy in role["Properties"]["Policies"] for each in policy["PolicyDocument"]["Statement"]]
    granting = [each for each in statements if action in [*each["Action"], each["Action"]]]
    assert granting
    return {key for each in granting for condition in each.get("Condition", {}).values() for key in condition}


@pytest.mark.parametrize(("unknown", "end"), [(1, "but 1 check could"), (2, "but 2 checks could")])
def test_checks_that_could_not_be_made_are_counted(unknown, end):
    shown = output.findings([Finding("rules", unknown="AccessDenied")] * unknown)

    assert end in shown.renderables[-1].plain


@pytest.mark.parametrize(
    ("check", "answers", "problem", "remedy"),
    [
        (
            queryable.database,
            {"get_database": Gone()},
            ("exports", "is gone: nothing can be queried"),
            "table-exports repair reviews-parquet",
        ),
        (
            queryable.database,
            {"get_database": LAKE_FORMATION},
            ("exports", f"Lake Formation denies it: {in_words(LAKE_FORMATION)}"),
            queryable.LAKE_FORMATION,
        ),
        (
            queryable.database,
            {"get_database": {"Database": {"Name": "exports", "CreateTableDefaultPermissions": []}}},
            ("exports", "Lake Formation decides about its new tables, not IAM alone"),
            queryable.LAKE_FORMATION,
        ),
        (
            queryable.workgroup,
            {"get_work_group": Gone()},
            ("table-exports", "is gone: no view can be published"),
            RESTORE,
        ),
        (
            queryable.workgroup,
            {"get_work_group": {"WorkGroup": {"State": "DISABLED"}}},
            ("table-exports", "is DISABLED: no view can be published"),
            "aws athena update-work-group --work-group table-exports --state ENABLED",
        ),
        (
            queryable.bucket,
            {"get_bucket_notification_configuration": Gone()},
            ("bucket", "is gone, and all snapshots with it"),
            f"{RESTORE}, then export each table again",
        ),
        (
            queryable.bucket,
            {"get_bucket_notification_configuration": {"TopicConfigurations": [{"TopicArn": TOPIC}]}},
            ("bucket", "sends no events to EventBridge: the end of a DynamoDB export is noticed late"),
            "aws s3api put-bucket-notification-configuration --bucket bucket --notification-configuration "
            f'''\'{{"TopicConfigurations": [{{"TopicArn": "{TOPIC}"}}], "EventBridgeConfiguration": {{}}}}\'''',
        ),
        (
            doctor.streams,
            {
                "get_event_source_mapping": {
                    "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:table-exports-on_export_changed",
                    "State": "Enabled",
                    "LastProcessingResult": "PROBLEM: Function call failed",
                }
            },
            ("table-exports-on_export_changed", "PROBLEM: Function call failed"),
            'correct the error: docs/runbook.md, "functions-fail". Lambda continues by itself',
        ),
        (
            doctor.functions,
            {"get_function_configuration": Gone()},
            ("table-exports-start_export", "is gone"),
            RESTORE,
        ),
        (
            doctor.stacks,
            {},
            ("reviews-parquet", "its stack could not be deleted: no reason given"),
            "correct the reason, then run aws cloudformation delete-stack --stack-name orders",
        ),
    ],
)
def test_each_problem_has_a_remedy_that_can_be_carried_out(deployed, check, answers, problem, remedy):
    found = deployed(
        a_pipeline(published_snapshot="2026-11-23T02-00-07Z"),
        table="DELETE_FAILED",
        resources=[
            resource("AWS::Lambda::EventSourceMapping", "1"),
            resource("AWS::Lambda::Function", "table-exports-start_export"),
        ],
        **answers,
    )

    assert [((each.subject, each.description), each.remedy) for each in check(found)] == [(problem, remedy)]


def test_a_database_of_which_glue_does_not_say_who_decides_is_no_problem(deployed):
    assert reported(queryable.database, deployed(get_database={"Database": {"Name": "exports"}})) == []


def test_what_exists_is_no_problem(deployed):
    found = deployed(
        get_database={"Database": catalog.database_input("exports")},
        get_work_group={"WorkGroup": {"State": "ENABLED"}},
        get_bucket_notification_configuration={"EventBridgeConfiguration": {}, "ResponseMetadata": {}},
    )

    for check in (queryable.database, queryable.workgroup, queryable.bucket):
        assert reported(check, found) == []


@pytest.mark.parametrize(
    ("function", "problems"),
    [
        (
            {"State": "Active"},
            [("a-rule on table-exports", "may not invoke f"), ("a-rule on the default bus", "may not invoke f")],
        ),
        (Gone(), []),
    ],
    ids=["exists", "is gone: another check reports it, and no permission can be added"],
)
def test_a_permission_is_missing_only_of_a_function_that_exists(deployed, function, problems):
    found = deployed(
        resources=[resource("AWS::Events::Rule", "a-rule")],
        list_rules={"Rules": [{"Name": "a-rule", "Arn": "arn:aws:events:r:1:rule/a-rule", "State": "ENABLED"}]},
        list_targets_by_rule={"Targets": [{"Id": "f", "Arn": "arn:aws:lambda:r:1:function:f"}]},
        get_policy=Gone(),
        get_function_configuration=function,
    )

    assert sorted(reported(doctor.deliveries, found)) == problems


def test_roles_that_are_gone_are_reported_by_their_names(deployed):
    pipeline = a_pipeline()
    found = deployed(
        pipeline,
        resources=[resource("AWS::IAM::Role", "ScheduleRole-1", "ScheduleRole")],
        describe_event_bus={"Arn": "arn:aws:events:us-east-1:123456789012:event-bus/table-exports"},
        get_role=Gone(),
        simulate_principal_policy=Gone(),
        get_jobs={"Jobs": [{"Name": pipeline.glue_job_name, "Role": "arn:aws:iam::123456789012:role/a/job"}]},
        get_crawlers={"Crawlers": [{"Name": pipeline.crawler_name, "Role": "a/crawler"}]},
    )

    assert reported(doctor.roles, found) == [
        ("table-exports", "its role ScheduleRole-1 is gone"),
        ("reviews-parquet", "its role crawler is gone"),
        ("reviews-parquet", "its role job is gone"),
    ]


def test_a_queue_or_a_parameter_that_is_gone_is_reported(deployed):
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/table-exports-unhandled-events"
    found = deployed(
        resources=[resource("AWS::SQS::Queue", url)],
        get_queue_attributes=Gone(),
        get_parameters={"Parameters": []},
    )

    assert reported(doctor.queues, found) == [("table-exports-unhandled-events", "is gone: what is sent to it is lost")]
    assert reported(running.versions, found) == [
        (f"/table-exports/{name}", "is gone: no table stack can be deployed")
        for name in ("job-script", "job-modules", "avro-module")
    ]


HERE = "s3://artifacts/table-exports/1"


@pytest.mark.parametrize(
    ("script", "arguments", "others"),
    [
        (f"{HERE}/a.py", {"--extra-py-files": f"{HERE}/b.zip", "--additional-python-modules": f"{HERE}/c.whl"}, ""),
        (f"{HERE}/a.py", {"--extra-py-files": f"{HERE}/b.zip,s3://x/b.zip"}, f"{HERE}/b.zip,s3://x/b.zip"),
        (f"{HERE}/a.py", {"--extra-py-files": f"s3://x/b.zip,{HERE}/b.zip"}, f"s3://x/b.zip,{HERE}/b.zip"),
        (f"{HERE}/a.py", {"--additional-python-modules": "fastavro"}, "fastavro"),
        ("s3://artifacts/table-exports/2/a.py", {}, "s3://artifacts/table-exports/2/a.py"),
    ],
)
def test_a_job_runs_the_artifacts_of_the_version(deployed, script, arguments, others):
    pipeline = a_pipeline()
    names = ("job-script", "job-modules", "avro-module")
    found = deployed(
        pipeline,
        get_parameters={
            "Parameters": [
                {"Name": f"/table-exports/{name}", "Value": f"artifacts/table-exports/1/{name}"} for name in names
            ]
        },
        get_jobs={
            "Jobs": [
                {
                    "Name": pipeline.glue_job_name,
                    "Command": {"ScriptLocation": script},
                    "DefaultArguments": arguments,
                }
            ]
        },
    )

    expected = [("reviews-parquet", f"its job is of another version: {others}")] if others else []
    assert reported(running.versions, found) == expected


CONTRACT = "artifacts/table-exports/columns/" + "0" * 64 + ".json"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, None),
        ({"--columns": "-"}, f"--columns s3://{CONTRACT}, but has -"),
        ({"--hash_secret": "arn:theirs"}, "--hash_secret -, but has arn:theirs"),
        ({"--read_capacity_cap": "0"}, "--read_capacity_cap 100, but has 0"),
        ({"--entities": "s3://x.json"}, "--entities -, but has s3://x.json"),
    ],
)
def test_a_job_has_the_arguments_of_its_stack(deployed, changed, problem):
    pipeline = a_pipeline()
    as_deployed = {
        "--columns": f"s3://{CONTRACT}",
        "--entities": "-",
        "--hash_secret": "-",
        "--read_capacity_cap": "100",
    }
    job = {"Name": pipeline.glue_job_name, "DefaultArguments": as_deployed | changed}
    found = deployed(pipeline, get_jobs={"Jobs": [job]})
    found.stacks[STACK]["Parameters"] = [
        {"ParameterKey": "Columns", "ParameterValue": CONTRACT},
        {"ParameterKey": "ReadCapacityCap", "ParameterValue": "100"},
    ]

    expected = [("reviews-parquet", f"its job was deployed with {problem}")] if problem else []
    assert reported(running.arguments, found) == expected


def test_the_arguments_that_are_checked_are_those_that_the_template_gives(deployed):
    given = template_resource("table", "Job")["Properties"]["DefaultArguments"]
    others = {"--enable-continuous-cloudwatch-log", *running.CODE_ARGUMENTS}

    assert given.keys() == {*running.ARGUMENTS, *others}
    for argument, (parameter, _) in running.ARGUMENTS.items():
        assert parameter in str(given[argument])


def sha(content):
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


@pytest.mark.parametrize(
    ("own", "layer", "missing"),
    [
        (b"zip", b"zip", ""),
        (b"other", b"zip", "start_export.zip"),
        (b"zip", b"other", "layer.zip"),
        (b"other", b"other", "start_export.zip and layer.zip"),
    ],
)
def test_a_function_runs_the_artifacts_of_the_version(deployed, own, layer, missing):
    found = deployed(
        resources=[resource("AWS::Lambda::Function", "table-exports-start_export")],
        get_function_configuration={"CodeSha256": sha(own), "Layers": [{"Arn": "arn:1"}]},
        get_layer_version_by_arn={"Content": {"CodeSha256": sha(layer)}},
        head_object={"ChecksumSHA256": sha(b"zip")},
    )

    problems = list(running.code(found))

    assert [(problem.subject, problem.description, problem.remedy) for problem in problems] == (
        [("table-exports-start_export", f"runs other code than {missing} in {HERE}/", RESTORE)] if missing else []
    )


def test_artifacts_that_are_gone_are_no_change_of_the_functions(deployed):
    found = deployed(
        resources=[resource("AWS::Lambda::Function", "table-exports-start_export")],
        head_object=ClientError({"Error": {"Code": "404"}}, "HeadObject"),
    )

    [problem] = running.code(found)

    assert (problem.subject, problem.description, problem.remedy) == (
        f"{HERE}/",
        "lacks layer.zip, start_export.zip, so no function can be compared with it, or restored",
        "make deploy: it uploads the artifacts again",
    )


def test_each_function_of_the_template_is_compared_with_its_own_artifact():

    expected = {
        each["Properties"]["FunctionName"]: each["Properties"]["CodeUri"]["Key"]["Fn::Sub"].rpartition("/")[2]
        for each in template("common")["Resources"].values()
        if each["Type"] == "AWS::Serverless::Function"
    }
    assert len(expected) > 10
    assert {name: artifact(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("registered", "status", "expected"),
    [
        ([], "CREATE_COMPLETE", [("orders", "its pipeline is not registered, so every request is refused")]),
        ([a_pipeline()], "CREATE_COMPLETE", []),
        ([], "DELETE_IN_PROGRESS", []),
    ],
)
def test_a_table_stack_whose_pipeline_has_no_record_is_reported(deployed, registered, status, expected):
    outputs = [
        {"OutputKey": "ExportRequest", "OutputValue": "{}"},
        {"OutputKey": "Pipeline", "OutputValue": "reviews-parquet"},
    ]
    found = deployed(*registered, common=None, table=status, outputs=outputs)

    assert [one for one in reported(doctor.stacks, found) if one[0] == "orders"] == expected
