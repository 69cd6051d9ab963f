"""`make deploy` against a cloud of its own, where nothing is deployed yet."""

import io
import json
import re
import signal
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from samtranslator.yaml_helper import yaml_parse
from sandbox_operator import BUCKET, SETTINGS, Operator
from sandbox_user import ROOT, WITHOUT_SPARK, sandbox

pytestmark = pytest.mark.slow

THREE_TABLES = """
defaults: {ScheduleExpression: rate(1 day)}
tables:
  Orders:
  Reviews: {ReadPercentage: 0.5}
  Films:
    - {OutputFormat: csv, CatalogName: films_csv}
"""
REMOVE = (ROOT / "docs/deploy.md").read_text().partition("\n## Remove\n")[2]
STACKS = ["table-exports-orders-parquet", "table-exports-reviews-parquet", "table-exports-films-csv-csv"]

MALWARE = io.BytesIO()
with zipfile.ZipFile(MALWARE, "w") as archive:
    archive.writestr("on_view_complete/handler.py", "def handle(event, context): ...")


@pytest.fixture(scope="module")
def operator(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("sandbox"), "--no-deploy", *WITHOUT_SPARK) as endpoint:
        operator = Operator(tmp_path_factory.mktemp("operator"), endpoint)
        operator.write("table-exports.toml", SETTINGS)
        operator.write("tables.yaml", THREE_TABLES)
        yield operator


@pytest.fixture(scope="module")
def deployed(operator):
    """The first deployment: of everything, with one command."""
    assert operator.deploy("--yes")[0] == 0
    return operator


def test_without_someone_to_ask_nothing_is_made(operator):
    operator.write("table-exports.toml", SETTINGS.replace(BUCKET, "another-bucket"))
    code, said, _ = operator.deploy()
    operator.write("table-exports.toml", SETTINGS)

    assert code == 1
    assert "Cannot ask without a terminal: The bucket another-bucket does not exist" in said
    assert operator.user.client("cloudformation").describe_stacks()["Stacks"] == []


def test_a_first_deployment_makes_it_all(deployed):
    stacks = [deployed.stack(name) for name in ("table-exports", *STACKS)]

    assert [stack["StackStatus"] for stack in stacks] == ["CREATE_COMPLETE"] * 4
    tags = [{tag["Key"]: tag["Value"] for tag in stack["Tags"]} for stack in stacks]
    assert tags == [{"team": "data", "table-exports": kind} for kind in ("common", "table", "table", "table")]
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stacks[2]["Parameters"]}
    assert parameters["ReadPercentage"] == "0.5"
    s3 = deployed.user.client("s3")
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=BUCKET)["Policy"]


def test_a_second_deployment_finds_nothing_to_do(deployed):
    code, said, became = deployed.deploy()  # and so has nothing to ask

    assert code == 0
    assert "No changes: table-exports\n" in said
    assert became == dict.fromkeys(STACKS, "unchanged")


def test_an_artifact_that_someone_replaced_is_found_and_the_named_commands_restore_it(deployed):
    s3 = deployed.user.client("s3")
    prefix = f"table-exports/{(ROOT / 'build/version.txt').read_text()}"
    s3.put_object(Bucket=BUCKET, Key=f"{prefix}/start_export.zip", Body=b"malware")

    code, said, _ = deployed.deploy("--yes")

    assert code == 1
    assert "Nothing was deployed" in said
    [(bucket, key)] = re.findall(r"aws s3api delete-object --bucket (\S+) --key (\S+)", said)
    s3.delete_object(Bucket=bucket, Key=key)
    assert deployed.deploy("--yes")[0] == 0
    content = s3.get_object(Bucket=BUCKET, Key=f"{prefix}/start_export.zip")["Body"].read()
    assert content == (ROOT / "build/start_export.zip").read_bytes()


def test_a_plan_lists_the_snapshots_that_a_lower_number_deletes(deployed):
    user = deployed.user
    user.make_table("Films", [{"id": "1"}], {"id": "S"})
    pipeline = deployed.outputs(STACKS[2])
    snapshots = [user.export(pipeline)[0]["snapshot_timestamp"] for _ in range(2)]
    deployed.write("tables.yaml", THREE_TABLES.replace("films_csv}", "films_csv, KeepSnapshots: 2}"))

    code, said, _ = deployed.deploy("--plan")

    deployed.write("tables.yaml", THREE_TABLES)
    assert code == 0
    assert f"{STACKS[2]}: KeepSnapshots is lowered from 0 to 2" in said
    assert f"The next successful export deletes the snapshot {snapshots[0]}" in said


def test_one_change_is_one_update_and_one_failure_is_no_others(deployed):
    deployed.write(
        "tables.yaml",
        THREE_TABLES.replace("0.5", "0.75").replace("Orders:", "Orders: {StackName: table-exports-elsewhere}"),
    )
    planned, _, to_become = deployed.deploy("--plan")
    code, said, became = deployed.deploy("--yes")
    deployed.write("tables.yaml", THREE_TABLES)
    again, _, after = deployed.deploy("--yes", "--only", "reviews")

    changes = dict.fromkeys(STACKS[1:], "unchanged")
    assert planned == 0
    assert to_become == {"table-exports-elsewhere": "to be created", **changes, STACKS[1]: "to be updated"}
    assert code == 1
    assert became == {"table-exports-elsewhere": "failed", **changes, STACKS[1]: "updated"}
    assert "orders is taken by another stack" in said
    assert f"Not in tables.yaml any more: {STACKS[0]}." in said
    assert deployed.stack(STACKS[0])["StackStatus"] == "CREATE_COMPLETE"
    assert again == 0
    assert after == {STACKS[1]: "updated"}


CUSTOMER_STACK = """
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: customer-orders
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
  Jobs: {Type: AWS::SQS::Queue, Properties: {QueueName: customer-jobs}}
"""


def test_a_stack_of_another_purpose_is_refused_whatever_its_name_and_tags(deployed):
    cloudformation = deployed.user.client("cloudformation")
    tags = [{"Key": "table-exports", "Value": "table"}]
    cloudformation.create_stack(StackName="customer-orders", TemplateBody=CUSTOMER_STACK, Tags=tags)
    cloudformation.get_waiter("stack_create_complete").wait(StackName="customer-orders", WaiterConfig={"Delay": 0.2})
    deployed.write("tables.yaml", THREE_TABLES.replace("Orders:", "Orders:\n    StackName: customer-orders"))
    code, said, became = deployed.deploy("--yes", "--delete-data-of", "customer-orders")
    deployed.write("tables.yaml", THREE_TABLES)

    assert (code, became) == (1, {})
    assert "tables.yaml:5: Orders: stack customer-orders exists, and it is not a table stack of table-exports" in said
    assert (
        deployed.user.client("dynamodb").describe_table(TableName="customer-orders")["Table"]["TableStatus"] == "ACTIVE"
    )
    assert deployed.user.client("sqs").get_queue_url(QueueName="customer-jobs")
    assert cloudformation.list_change_sets(StackName="customer-orders")["Summaries"] == []
    assert "customer-orders" not in deployed.deploy("--yes")[1]  # nor is it listed as one that can be deleted


def test_data_that_a_stack_got_by_hand_is_not_deleted_by_yes_alone(deployed):
    name, cloudformation = STACKS[1], deployed.user.client("cloudformation")
    template = cloudformation.get_template(StackName=name)["TemplateBody"]
    template = template if isinstance(template, dict) else yaml_parse(template)
    template["Resources"]["Jobs"] = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "by-hand"}}
    stack = deployed.stack(name)
    cloudformation.update_stack(
        StackName=name,
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": each["ParameterKey"], "UsePreviousValue": True} for each in stack["Parameters"]],
        Capabilities=["CAPABILITY_IAM"],
        Tags=stack["Tags"],
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 0.2})
    queues = deployed.user.client("sqs")

    code, said, became = deployed.deploy("--yes")
    assert (code, became[name]) == (1, "failed")
    assert [part for part in ("AWS::SQS::Queue", "by-hand", f"DELETE_DATA_OF={name}") if part not in said] == []
    assert queues.list_queues(QueueNamePrefix="by-hand").get("QueueUrls")

    code, said, became = deployed.deploy("--yes", "--delete-data-of", name)
    assert (code, became[name]) == (0, "updated")
    assert not queues.list_queues(QueueNamePrefix="by-hand").get("QueueUrls")


def test_two_deployments_at_once_both_succeed(deployed):
    deployed.write("table-exports.toml", SETTINGS.replace("HistoryDays = 30", "HistoryDays = 31"))
    deployed.write("tables.yaml", THREE_TABLES.replace("0.5", "0.8"))
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: deployed.deploy("--yes"), range(2)))
    deployed.write("table-exports.toml", SETTINGS)
    deployed.write("tables.yaml", THREE_TABLES)

    assert [code for code, _, _ in both] == [0, 0], both
    assert {became[STACKS[1]] for _, _, became in both} == {"updated", "unchanged"}


def test_a_renamed_entity_is_refused_and_the_remedy_that_is_printed_lets_exports_go_on(deployed):
    user, stack = deployed.user, "table-exports-app-parquet"
    items = [{"pk": f"{number}", "type": "order" if number % 2 else "user"} for number in range(4)]
    user.make_table("App", items, {"pk": "S"})
    types = "  App:\n    Entities:\n      by: type\n      types:\n        order:\n          name: "
    line = f"{THREE_TABLES}{types}".count("\n") + 1

    def deploy(name):
        deployed.write("tables.yaml", f"{THREE_TABLES}{types}{name}")
        return deployed.deploy("--yes")

    assert deploy("orders")[2][stack] == "created"
    pipeline = deployed.outputs(stack)
    assert {each["name"] for each in user.export(pipeline)[0]["entities"]} == {"app_orders", "app_user"}

    code, said, became = deploy("purchases")
    remedy = re.search(rf"tables\.yaml:{line}: App\.Entities\.types\.order\.name: .+ Set it to (\w+) again", said)
    assert (code, became, remedy[1]) == (1, {}, "orders")

    assert deploy(remedy[1])[0] == 0
    assert user.export(pipeline)[0]["items"] == 4
    deployed.write("tables.yaml", THREE_TABLES)
    user.client("cloudformation").delete_stack(StackName=stack)


def test_another_table_or_database_is_refused_before_anything_changes(deployed):
    deployed.write("tables.yaml", "tables:\n  Others: {CatalogName: orders}\n")
    code, said, _ = deployed.deploy("--yes")
    assert code == 1
    assert f"tables.yaml:2: Others: stack {STACKS[0]} exports table Orders" in said

    deployed.write("tables.yaml", THREE_TABLES)
    deployed.write("table-exports.toml", SETTINGS.replace("HistoryDays", 'DatabaseName = "other"\nHistoryDays'))
    code, said, _ = deployed.deploy("--yes")
    deployed.write("table-exports.toml", SETTINGS)
    assert code == 1
    assert "parameters.DatabaseName: it is dynamodb_exports, and CloudFormation cannot change it" in said


def test_a_mistake_in_the_file_is_told_before_anything_is_asked_of_aws(deployed):
    deployed.write("tables.yaml", THREE_TABLES.replace("0.5", "5"))
    code, said, _ = deployed.deploy("--yes")
    deployed.write("tables.yaml", THREE_TABLES)

    assert code == 1
    assert said == "tables.yaml:5: Reviews.ReadPercentage: 5 must be at most 1\n"


def test_the_credentials_of_another_account_are_refused(deployed):
    deployed.write("table-exports.toml", SETTINGS.replace("123456789012", "999999999999", 1))
    code, said, _ = deployed.deploy("--yes")
    deployed.write("table-exports.toml", SETTINGS)

    assert code == 1
    assert "the credentials belong to 123456789012, but table-exports.toml is for 999999999999" in said


UNCHANGED = dict.fromkeys(STACKS, "unchanged")


def physical(deployed, stack, logical):
    client = deployed.user.client("cloudformation")
    return client.describe_stack_resource(StackName=stack, LogicalResourceId=logical)["StackResourceDetail"][
        "PhysicalResourceId"
    ]


def test_what_was_changed_or_deleted_by_hand_is_restored_by_a_repair_alone(deployed):
    client = deployed.user.client
    deployed.write("tables.yaml", THREE_TABLES.replace("0.5", "0.5, ScheduleState: ENABLED"))
    assert deployed.deploy("--yes")[0] == 0
    code, said, became = deployed.deploy("--repair")  # finds no drift, and so has nothing to ask
    assert (code, became) == (0, UNCHANGED), said
    schedule = client("scheduler").get_schedule(Name=physical(deployed, STACKS[1], "Schedule"))
    fields = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
    client("scheduler").update_schedule(**{name: schedule[name] for name in fields}, State="DISABLED")
    job, crawler = physical(deployed, STACKS[1], "Job"), physical(deployed, STACKS[1], "Crawler")
    client("glue").delete_job(JobName=job)
    client("glue").delete_crawler(Name=crawler)
    function = physical(deployed, "table-exports", "OnGlueComplete")
    client("lambda").delete_function(FunctionName=function)

    code, said, became = deployed.deploy("--yes")
    assert (code, became) == (0, {**UNCHANGED, STACKS[1]: "unchanged"})
    assert "No changes: table-exports\n" in said
    with pytest.raises(ClientError):
        client("lambda").get_function(FunctionName=function)

    code, said, became = deployed.deploy("--yes", "--repair")
    assert (code, became) == (0, {**UNCHANGED, STACKS[1]: "updated"}), said
    assert client("scheduler").get_schedule(Name=physical(deployed, STACKS[1], "Schedule"))["State"] == "ENABLED"
    assert client("glue").get_job(JobName=job)["Job"]["Name"] == job
    assert client("glue").get_crawler(Name=crawler)["Crawler"]["Name"] == crawler
    assert client("lambda").get_function(FunctionName=function)

    code, said, became = deployed.deploy("--repair")
    assert (code, became) == (0, {**UNCHANGED, STACKS[1]: "unchanged"}), said


def test_code_that_someone_replaced_is_reported_by_each_deployment_and_restored_by_a_repair(deployed):
    client = deployed.user.client("lambda")
    function = physical(deployed, "table-exports", "OnViewComplete")
    before = client.get_function_configuration(FunctionName=function)
    client.update_function_code(FunctionName=function, ZipFile=MALWARE.getvalue())

    for options in (["--yes"], ["--plan"], ["--plan", "--repair"]):
        code, said, became = deployed.deploy(*options)
        assert (code, became) == (1, UNCHANGED), said
        assert f"{function} runs other code than build/on_view_complete.zip\n" in said
        assert "run make deploy REPAIR=1" in said
    assert client.get_function_configuration(FunctionName=function)["CodeSha256"] != before["CodeSha256"]

    code, said, became = deployed.deploy("--yes", "--repair")
    assert (code, became) == (0, UNCHANGED), said
    after = client.get_function_configuration(FunctionName=function)
    assert (after["CodeSha256"], after["Handler"]) == (before["CodeSha256"], before["Handler"])
    code, said, became = deployed.deploy()
    assert code == 0
    assert "runs other code" not in said


def switch_schedule(on, stack):
    schedule = on("scheduler").get_schedule(Name=stack("Schedule"))
    kept = {name: schedule[name] for name in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    on("scheduler").update_schedule(**kept, State="ENABLED" if schedule["State"] == "DISABLED" else "DISABLED")


def remove_targets(on, rule, bus="default"):
    named = {"Rule": rule, "EventBusName": bus}
    targets = on("events").list_targets_by_rule(**named)["Targets"]
    on("events").remove_targets(**named, Ids=[target["Id"] for target in targets])


def delete_rule(on, rule, bus):
    remove_targets(on, rule, bus)
    on("events").delete_rule(Name=rule, EventBusName=bus)


def delete_mapping(on, common):
    [mapping] = on("lambda").list_event_source_mappings(FunctionName="table-exports-on_export_changed")[
        "EventSourceMappings"
    ]
    on("lambda").delete_event_source_mapping(UUID=mapping["UUID"])


def change_script(on, stack):
    job = on("glue").get_job(JobName=stack("Job"))["Job"]
    kept = {name: job[name] for name in ("Role", "GlueVersion", "WorkerType", "DefaultArguments")}
    kept["NumberOfWorkers"] = int(job["NumberOfWorkers"])  # the emulator's CloudFormation keeps text
    command = {**job["Command"], "ScriptLocation": "s3://elsewhere/export_table.py"}
    on("glue").update_job(JobName=stack("Job"), JobUpdate={**kept, "Command": command})


def change_modules(on, stack):
    change_arguments(on, stack, {"--extra-py-files": "s3://elsewhere/table_export_job.zip"})


def change_arguments(on, stack, changed):
    job = on("glue").get_job(JobName=stack("Job"))["Job"]
    kept = {name: job[name] for name in ("Role", "GlueVersion", "WorkerType", "Command")}
    arguments = {**job["DefaultArguments"], **changed}
    kept["NumberOfWorkers"] = int(job["NumberOfWorkers"])  # the emulator's CloudFormation keeps text
    on("glue").update_job(JobName=stack("Job"), JobUpdate={**kept, "DefaultArguments": arguments})


def change_code(on, stack):
    on("lambda").update_function_code(FunctionName=stack("OnTableExported"), ZipFile=MALWARE.getvalue())


def change_layer(on, stack):
    layer = on("lambda").publish_layer_version(LayerName="other", Content={"ZipFile": MALWARE.getvalue()})
    on("lambda").update_function_configuration(
        FunctionName=stack("OnExportSucceeded"), Layers=[layer["LayerVersionArn"]]
    )


DAMAGE = [  # by the checks that report it
    ("code", change_code, "table-exports"),
    ("code", change_layer, "table-exports"),
    ("versions", change_modules, STACKS[2]),
    ("arguments", lambda on, stack: change_arguments(on, stack, {"--hash_secret": "theirs"}), STACKS[2]),
    (
        "versions",
        lambda on, stack: on("ssm").put_parameter(
            Name="/table-exports/job-modules", Value="elsewhere/table_export_job.zip", Overwrite=True
        ),
        "table-exports",
    ),
    ("versions", lambda on, stack: on("glue").delete_job(JobName=stack("Job")), STACKS[0]),
    ("versions", change_script, STACKS[1]),
    ("crawlers", lambda on, stack: on("glue").delete_crawler(Name=stack("Crawler")), STACKS[0]),
    (
        "functions",
        lambda on, stack: on("lambda").delete_function(FunctionName=stack("OnViewComplete")),
        "table-exports",
    ),
    (
        "queues",
        lambda on, stack: on("sqs").delete_queue(QueueUrl=stack("UnhandledEvents")),
        "table-exports",
    ),
    (
        "versions",
        lambda on, stack: on("ssm").delete_parameter(Name="/table-exports/job-script"),
        "table-exports",
    ),
    ("deliveries", lambda on, stack: remove_targets(on, "table-exports-on_glue_complete"), "table-exports"),
    ("rules", lambda on, stack: delete_rule(on, "table-exports-start_export", "table-exports"), "table-exports"),
    ("streams", delete_mapping, "table-exports"),
    ("schedules", switch_schedule, STACKS[0]),
    ("schedules", lambda on, stack: on("scheduler").delete_schedule(Name=stack("Schedule")), STACKS[1]),
    ("archives", lambda on, stack: on("events").delete_archive(ArchiveName="table-exports-requests"), "table-exports"),
    ("alarms", lambda on, stack: on("cloudwatch").delete_alarms(AlarmNames=["table-exports-health"]), "table-exports"),
    ("workgroup", lambda on, stack: on("athena").delete_work_group(WorkGroup="table-exports"), "table-exports"),
]


def test_whatever_doctor_wants_restored_is_restored_by_one_repair(deployed):
    def problems():
        findings = deployed.doctor()
        assert {finding["check"]: finding["unknown"] for finding in findings if finding["unknown"]} == {}
        return {
            (finding["check"], problem["subject"]): problem["remedy"]
            for finding in findings
            for problem in finding["problems"]
        }

    healthy = known = problems()  # nobody is notified of alarms
    assert {check for check, _ in healthy} == {"subscriptions", "tables"}
    for check, damage, stack in DAMAGE:
        damage(deployed.user.client, lambda name, stack=stack: physical(deployed, stack, name))
        found = problems()
        reported = {key: remedy for key, remedy in found.items() if key not in known}
        known = found
        assert check in {check for check, _ in reported}, (check, stack, reported)
        assert all(remedy.endswith("make deploy REPAIR=1") for remedy in reported.values()), reported

    code, said, _ = deployed.deploy("--yes", "--repair")

    assert code == 0, said
    assert problems() == healthy


MORE_TABLES = THREE_TABLES + "".join(f"  More-{letter}:\n" for letter in "abcdefg")
MORE_STACKS = [f"table-exports-more-{letter}-parquet" for letter in "abcdefg"]


def left_over(operator):
    """The stacks without resources, and the change sets of all stacks."""
    cloudformation = operator.user.client("cloudformation")
    stacks = cloudformation.describe_stacks()["Stacks"]
    planned = [stack["StackName"] for stack in stacks if stack["StackStatus"] == "REVIEW_IN_PROGRESS"]
    change_sets = [
        change_set["ChangeSetName"]
        for stack in stacks
        for change_set in cloudformation.list_change_sets(StackName=stack["StackName"])["Summaries"]
        if change_set["ExecutionStatus"] == "AVAILABLE"
    ]
    return planned, change_sets


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_deployment_that_is_interrupted_at_its_question_leaves_nothing(deployed, number):
    changed = MORE_TABLES.replace("0.5", "0.6")
    deployed.write("tables.yaml", changed)
    code, said = deployed.interrupted("Deploy 8 table stacks?", number)
    deployed.write("tables.yaml", THREE_TABLES)

    assert code == 130, said
    assert "Interrupted" in said
    assert left_over(deployed) == ([], [])


def test_a_deployment_that_is_interrupted_halfway_can_be_continued(deployed):
    deployed.write("tables.yaml", MORE_TABLES)
    code, said = deployed.interrupted(": creating", signal.SIGINT, "--yes")
    assert code == 130, said
    assert left_over(deployed) == ([], [])

    code, said, became = deployed.deploy("--yes")
    assert code == 0, said
    assert {became[name] for name in MORE_STACKS} == {"created", "unchanged"}
    assert left_over(deployed) == ([], [])


def test_a_deployment_that_is_killed_is_continued_by_the_next_one(deployed):
    name = "table-exports-killed-parquet"
    deployed.write("tables.yaml", THREE_TABLES + "  Killed:\n")
    code, _ = deployed.interrupted("Deploy 1 table stack?", signal.SIGKILL, "--only", "killed")
    assert code == -signal.SIGKILL
    assert left_over(deployed)[0] == [name]

    code, said, became = deployed.deploy("--yes", "--only", "killed")
    deployed.write("tables.yaml", THREE_TABLES)
    assert (code, became) == (0, {name: "created"}), said
    assert left_over(deployed) == ([], [])


def test_a_protected_stack_is_deleted_only_as_the_documentation_says(deployed):
    client = deployed.user.client("cloudformation")
    documented = re.findall(r"^aws cloudformation ([a-z-]+) .*(?:reviews-parquet|table-exports)$", REMOVE, re.MULTILINE)
    assert documented[:2] == ["update-termination-protection", "delete-stack"]
    deployed.write(
        "table-exports.toml", SETTINGS.replace("[parameters]", "termination_protection = true\n[parameters]")
    )
    deployed.write("tables.yaml", THREE_TABLES)

    code, said, _ = deployed.deploy("--yes")
    assert code == 0, said
    assert all(deployed.stack(name)["EnableTerminationProtection"] for name in ("table-exports", *STACKS))
    with pytest.raises(ClientError, match="TerminationProtection is enabled"):
        client.delete_stack(StackName=STACKS[0])
    assert deployed.deploy("--yes")[2] == UNCHANGED

    client.update_termination_protection(StackName=STACKS[0], EnableTerminationProtection=False)
    client.delete_stack(StackName=STACKS[0])
    client.get_waiter("stack_delete_complete").wait(StackName=STACKS[0], WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def test_the_path_of_roles_is_changed_as_the_documentation_says(deployed):
    client = deployed.user.client("cloudformation")
    deployed.write("tables.yaml", THREE_TABLES)
    deployed.write("table-exports.toml", SETTINGS)
    assert deployed.deploy("--yes")[0] == 0
    deployed.write("table-exports.toml", SETTINGS.replace("HistoryDays", 'RolePath = "/data/"\nHistoryDays'))
    code, said, _ = deployed.deploy("--yes")
    assert code == 1
    refused = re.search(
        r"parameters\.RolePath: it is /, and table stacks refer to roles of that path: ([^.]+)\. Set", said
    )
    stacks = refused[1].split(", ")  # with those of other tests
    assert {*STACKS} <= {*stacks}

    for name in stacks:
        client.update_termination_protection(StackName=name, EnableTerminationProtection=False)
        client.delete_stack(StackName=name)
        client.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    code, said, became = deployed.deploy("--yes")

    assert (code, became) == (0, dict.fromkeys(STACKS, "created")), said
    roles = deployed.user.client("iam").list_roles(PathPrefix="/data/")["Roles"]
    assert {role["Path"] for role in roles} == {"/data/", "/data/table-exports/"}
