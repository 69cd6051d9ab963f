"""House rules of the two stacks, as CloudFormation sees them after SAM."""

import json
import re
import zipfile
from pathlib import Path

import pytest
from templates import INFRA, STACKS, expanded, resource, resources, template

from table_exports.domain.aws_events import (
    RECONCILER_SOURCE,
    CrawlEnded,
    JobRunEnded,
    QueryEnded,
    SummaryWritten,
    TableExportFailed,
)
from table_exports.domain.export import CLAIM
from table_exports.domain.public_events import SOURCE
from table_exports.domain.request import ResumeRequest
from table_exports.domain.stages import Stage, events_between

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/handler.py"))
FUNCTIONS = resources("common", "AWS::Lambda::Function")


def as_list(value):
    return value if isinstance(value, list) else [value]


def statements(stack):
    """(where, statement) of every policy of the stack's roles."""
    for name, role in resources(stack, "AWS::IAM::Role").items():
        for policy in role["Properties"].get("Policies", []):
            for statement in as_list(policy["PolicyDocument"]["Statement"]):
                yield name, statement
    for name, policy in resources(stack, "AWS::IAM::ManagedPolicy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            yield name, statement["Fn::If"][1] if "Fn::If" in statement else statement
    for name, policy in resources(stack, "AWS::IAM::Policy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            yield name, statement


STATEMENTS = [(stack, *found) for stack in STACKS for found in statements(stack)]


@pytest.mark.parametrize("stack", STACKS)
def test_there_is_no_orchestrator(stack):
    assert "states:" not in (INFRA / f"{stack}.yaml").read_text()
    assert not [kind for kind in expanded(stack)["Resources"].values() if "StepFunctions" in kind["Type"]]


def test_every_service_is_deployed_under_its_own_name():
    deployed = {found["Properties"]["FunctionName"]: found["Properties"]["Handler"] for found in FUNCTIONS.values()}

    assert deployed == {f"table-exports-{service}": f"{service}.handler.handle" for service in SERVICES}


def test_every_function_has_a_role_of_its_own():
    roles = [json.dumps(function["Properties"]["Role"]) for function in FUNCTIONS.values()]

    assert len(set(roles)) == len(FUNCTIONS)


@pytest.mark.parametrize(("stack", "role", "statement"), STATEMENTS, ids=lambda value: str(value)[:30])
def test_a_policy_names_its_actions(stack, role, statement):
    assert statement["Effect"] == "Allow"
    assert not [action for action in as_list(statement["Action"]) if "*" in action]


def test_no_role_has_a_policy_that_is_not_written_here():
    """AWS's own managed policies name `*` where a resource could be named."""
    roles = [role for stack in STACKS for role in resources(stack, "AWS::IAM::Role").values()]
    managed = [policy["Ref"] for role in roles for policy in role["Properties"].get("ManagedPolicyArns", [])]

    assert set(managed) <= set(resources("common", "AWS::IAM::ManagedPolicy"))
    assert managed.count("FunctionBasics") == len(FUNCTIONS)


def test_all_functions_write_one_log_that_does_not_grow_for_ever():
    assert resource("common", "Log")["Properties"]["RetentionInDays"] == {"Ref": "LogDays"}
    assert {json.dumps(function["Properties"]["LoggingConfig"]["LogGroup"]) for function in FUNCTIONS.values()} == {
        '{"Ref": "Log"}'
    }


def test_what_cannot_be_delivered_or_handled_is_kept():
    rules = resources("common", "AWS::Events::Rule").values()
    targets = [target for rule in rules for target in rule["Properties"]["Targets"]]
    assert all("DeadLetterConfig" in target for target in targets)
    assert len(targets) == 10

    configured = resources("common", "AWS::Lambda::EventInvokeConfig").values()
    by_function = {found["Properties"]["FunctionName"]["Ref"]: found["Properties"] for found in configured}
    kept_for = set(by_function)
    reacting = {target["Arn"]["Fn::GetAtt"][0] for target in targets}
    assert kept_for - {"ReconcileExports"} == reacting  # which asks again within minutes
    kept = {name for name in kept_for if by_function[name].get("DestinationConfig")}
    assert kept == reacting
    assert all("OnFailure" in by_function[name]["DestinationConfig"] for name in kept)


def test_a_claim_outlives_every_function_that_makes_one():
    claim_nothing = {"ReconcileExports", "OnExportSucceeded"}
    claiming = [found["Properties"] for name, found in FUNCTIONS.items() if name not in claim_nothing]

    assert max(found["Timeout"] for found in claiming) <= CLAIM.total_seconds()


def test_the_bucket_is_private_encrypted_and_speaks_tls_alone():
    bucket = resource("common", "Bucket")["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]

    [statement] = resource("common", "BucketPolicy")["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_what_cannot_be_made_again_has_a_second_copy():
    """A deleted object becomes a version, which expires. Staged items and query results can be made again."""
    bucket = resource("common", "Bucket")["Properties"]
    rules = {rule["Prefix"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"] if "Prefix" in rule}

    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert {prefix: rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for prefix, rule in rules.items()} == {
        "exports/": {"Ref": "RestoreDays"},
        "staging/": 1,
        "query-results/": 1,
    }
    assert rules["exports/"]["ExpiredObjectDeleteMarker"] is True
    assert "ExpirationInDays" not in rules["exports/"]
    for table in resources("common", "AWS::DynamoDB::Table").values():
        assert table["Properties"]["DeletionProtectionEnabled"] is True
        assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


@pytest.mark.parametrize("name", ["StateTable", "Bucket", "BucketPolicy", "Database"])
def test_deleting_a_stack_deletes_no_data(name):
    found = resource("common", name)

    protected = found["Properties"].get("DeletionProtectionEnabled", False)
    # CloudFormation could not delete a protected table when the creation of its stack fails: ROLLBACK_FAILED
    assert (found["DeletionPolicy"], found["UpdateReplacePolicy"]) == (
        "Retain" if protected else "RetainExceptOnCreate",
        "Retain",
    )


def test_the_table_stack_takes_the_blogs_parameters():
    parameters = template("table")["Parameters"]

    assert (parameters["ReadPercentage"]["MinValue"], parameters["ReadPercentage"]["MaxValue"]) == (0.1, 1.0)
    assert parameters["ReadPercentage"]["Default"] == 0.25
    assert parameters["OutputFormat"]["AllowedValues"]
    assert [name for name, parameter in parameters.items() if "Default" not in parameter] == ["TableName"]
    assert all("Description" in parameter for parameter in parameters.values())


def test_a_schedule_is_created_disabled_under_a_name_that_always_fits():
    schedule = resource("table", "Schedule")["Properties"]

    assert "Name" not in schedule  # 64 characters at most, and a pipeline's name may have more

    assert schedule["State"] == {"Ref": "ScheduleState"}
    assert template("table")["Parameters"]["ScheduleState"]["Default"] == "DISABLED"


def filled_in(text):
    """JSON of an `!Sub`, with a number for every variable."""
    return json.loads(re.sub(r"\$\{[\w.]+\}", "0", text["Fn::Sub"]))


def test_the_schedule_asks_as_the_published_schema_says():
    schema = json.loads((ROOT / "table_exports/schemas/export_requested.json").read_text())
    schedule = resource("table", "Schedule")["Properties"]["Target"]
    asked = json.loads(re.sub(r"\$\{(\w+\.?)+\}", "0", schedule["Input"]["Fn::Sub"]))
    by_hand = json.loads(
        re.sub(r"\$\{(\w+\.?)+\}", "0", template("table")["Outputs"]["ExportRequest"]["Value"]["Fn::Sub"])
    )

    required = {*schema["required"], *schema["anyOf"][0]["required"]}
    assert set(asked) == {*required, "scheduled_time"}
    assert set(by_hand) == required
    assert schedule["EventBridgeParameters"] == {"Source": "table-exports", "DetailType": "Export Requested"}


def test_only_start_export_and_reconcile_exports_assume_a_table_role():
    assumed = [statement for _, role, statement in STATEMENTS if "sts:AssumeRole" in as_list(statement["Action"])]
    places = {statement["Resource"]["Fn::Sub"].rpartition(":")[2] for statement in assumed}
    assert places == {"role${RolePath}table-exports/*"}
    roles = [role for _, role, statement in STATEMENTS if statement in assumed]
    assert roles == ["StartExportRole", "ReconcileExportsRole"]

    role = resource("table", "TableRole")["Properties"]
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert role["Path"] == {"Fn::Sub": "${RolePath}table-exports/"}
    exported = {
        output["Export"]["Name"]: output["Value"]["Fn::GetAtt"][0]
        for output in template("common")["Outputs"].values()
        if "Export" in output and "Fn::GetAtt" in output["Value"]
    }
    assert [exported[trusted["Fn::ImportValue"]] for trusted in trust["Principal"]["AWS"]] == roles


ROLES = [(stack, name) for stack in STACKS for name in resources(stack, "AWS::IAM::Role")]


@pytest.mark.parametrize(("stack", "name"), ROLES)
def test_a_role_has_the_boundary_and_the_path_that_an_organization_requires(stack, name):
    role = resources(stack, "AWS::IAM::Role")[name]["Properties"]
    parameter = {"common": "PermissionsBoundaryArn", "table": "PermissionsBoundary"}[stack]
    path = {"Fn::If": ["HasRolePath", {"Ref": "RolePath"}, {"Ref": "AWS::NoValue"}]}  # no path: no role is replaced

    assert role["PermissionsBoundary"] == {"Fn::If": ["HasBoundary", {"Ref": parameter}, {"Ref": "AWS::NoValue"}]}
    assert role["Path"] == ({"Fn::Sub": "${RolePath}table-exports/"} if name == "TableRole" else path)
    assert "RoleName" not in role


@pytest.mark.parametrize(
    ("lookup", "parameter"),
    [("RolePath", "RolePathForTableStacks"), ("PermissionsBoundary", "PermissionsBoundary"), ("KmsKey", "KmsKey")],
)
def test_table_stacks_look_up_what_the_common_stack_is_deployed_with(lookup, parameter):
    declared = template("table")["Parameters"][lookup]

    assert declared["Type"] == "AWS::SSM::Parameter::Value<String>"
    assert declared["Default"] == resource("common", parameter)["Properties"]["Name"]


def test_a_table_stack_is_refused_on_a_common_stack_whose_script_ignores_its_blocks():
    """The script of 0.1.0 ignores Columns and Entities. Its common stack has only these parameters for table stacks."""
    before = {"/table-exports/job-script", "/table-exports/avro-module"}
    parameters = template("table")["Parameters"].values()
    needed = {each["Default"] for each in parameters if each["Type"] == "AWS::SSM::Parameter::Value<String>"}
    created = {each["Properties"]["Name"] for each in resources("common", "AWS::SSM::Parameter").values()}

    assert needed - before  # CloudFormation refuses a stack if one does not exist
    assert needed <= created


def test_every_function_runs_in_the_vpc_if_there_is_one():
    configured = {json.dumps(function["Properties"].get("VpcConfig")) for function in FUNCTIONS.values()}

    assert len(configured) == 1
    assert json.loads(*configured)["Fn::If"][0] == "HasVpc"


def test_the_bucket_tells_of_table_exports():
    told = resource("common", "Bucket")["Properties"]["NotificationConfiguration"]

    assert told == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


def test_what_table_stacks_import_never_changes_with_a_version():
    """CloudFormation refuses to change an export that is in use."""
    exported = [output for output in template("common")["Outputs"].values() if "Export" in output]

    assert exported
    assert "Artifacts" not in json.dumps(exported)


def test_the_job_brings_the_modules_of_its_script_and_the_build_has_them():
    arguments = resource("table", "Job")["Properties"]["DefaultArguments"]
    modules = resource("common", "JobModules")["Properties"]["Value"]["Fn::Sub"].rpartition("/")[2]

    assert arguments["--extra-py-files"] == {"Fn::Sub": "s3://${JobModules}"}
    assert "table_export_job/arguments.py" in zipfile.ZipFile(ROOT / "build" / modules).namelist()


def test_the_job_brings_a_module_where_glue_has_none_and_the_build_has_it():
    given = resource("table", "Job")["Properties"]["DefaultArguments"]["--additional-python-modules"]
    wheel = resource("common", "AvroModule")["Properties"]["Value"]["Fn::Sub"].rpartition("/")[2]

    assert given["Fn::If"][:2] == ["IsAvro", {"Fn::Sub": "s3://${AvroModule}"}]
    assert (ROOT / "build" / wheel).is_file()


def test_the_job_is_pinned_and_never_retried_behind_our_back():
    job = resource("table", "Job")["Properties"]

    assert (job["GlueVersion"], job["MaxRetries"]) == ("5.1", 0)


@pytest.mark.parametrize("stack", STACKS)
def test_what_a_schedule_cannot_deliver_is_kept_where_an_alarm_sees_it(stack):
    schedules = resources(stack, "AWS::Scheduler::Schedule").values()

    assert schedules
    for schedule in schedules:
        retries = schedule["Properties"]["Target"]["RetryPolicy"]
        assert retries["MaximumRetryAttempts"] >= 10  # a rate begins at once, before IAM knows a new role everywhere
        assert retries["MaximumEventAgeInSeconds"] >= 600
        queue = schedule["Properties"]["Target"]["DeadLetterConfig"]["Arn"]
        assert queue in (
            {"Fn::GetAtt": ["UndeliveredEvents", "Arn"]},
            {"Fn::ImportValue": "table-exports-undelivered-events-arn"},
        )


GRANTS_OF_EVENTS = [
    (role, statement) for _, role, statement in STATEMENTS if "events:PutEvents" in as_list(statement["Action"])
]


@pytest.mark.parametrize(("role", "statement"), GRANTS_OF_EVENTS, ids=str)
def test_a_role_may_publish_only_events_of_its_own(role, statement):
    allowed = statement["Condition"]["StringEquals"]

    assert as_list(statement["Action"]) == ["events:PutEvents"]
    assert allowed.keys() == {"events:source", "events:detail-type"}
    assert allowed["events:source"] in (SOURCE, RECONCILER_SOURCE)
    if role not in reserved_for(RECONCILER_SOURCE):
        assert allowed["events:source"] == SOURCE
    if role not in reserved_for(allowed["events:source"]):
        assert allowed["events:detail-type"] == ResumeRequest.detail_type


def reserved_for(source):
    """The roles for which the bus reserves a source."""
    [statement] = [
        policy["Properties"]["Statement"]
        for policy in resources("common", "AWS::Events::EventBusPolicy").values()
        if policy["Properties"]["Statement"]["Condition"]["ForAnyValue:StringEquals"] == {"events:source": source}
    ]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "events:PutEvents")
    return {arn["Fn::GetAtt"][0] for arn in statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]}


@pytest.mark.parametrize("source", [SOURCE, RECONCILER_SOURCE])
def test_a_source_is_reserved_for_the_roles_that_publish_it(source):
    publish = {
        role
        for role, statement in GRANTS_OF_EVENTS
        if statement["Condition"]["StringEquals"]["events:source"] == source
        and statement["Condition"]["StringEquals"]["events:detail-type"] != ResumeRequest.detail_type
    }

    assert reserved_for(source) == publish


def test_the_roles_that_publish_events_allow_every_event_that_exists():
    def allowed(role, source):
        found = [s["Condition"]["StringEquals"] for name, s in GRANTS_OF_EVENTS if name == role]
        return {kind for one in found if one["events:source"] == source for kind in as_list(one["events:detail-type"])}

    ends = (SummaryWritten, TableExportFailed, JobRunEnded, CrawlEnded, QueryEnded, ResumeRequest)
    changes = {kind for before in Stage for after in Stage for kind in events_between(before, after)}

    assert allowed("ReconcileExportsRole", RECONCILER_SOURCE) == {end.detail_type for end in ends}
    assert allowed("OnExportChangedRole", SOURCE) == changes | {"Export Failed", "Entity Appeared"}
