"""Checks whether everything is deployed, permitted, enabled and subscribed. Each problem comes with a remedy."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from table_exports.aws.records import claim_record
from table_exports.domain.errors import RetryableError
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.public_events import SOURCE
from table_exports.domain.request import ResumeRequest
from table_exports_cli import queryable, running
from table_exports_cli.deployed import CannotTell, Deployed
from table_exports_cli.findings import DEPLOY, RESTORE, TAKE_OVER, Finding, Problem
from table_exports_cli.problems import in_words
from table_exports_cli.replays import AWS_EVENTS, REQUESTS
from table_exports_cli.system import NAME, System

GONE = ("ResourceNotFoundException", "NotFoundException", "NotFound", "EntityNotFoundException", "NoSuchEntity")
NEVER_DEPLOYED = ("ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS", "IMPORT_ROLLBACK_COMPLETE")


def examine(system: System) -> list[Finding]:
    """Make all checks. Raises CommandError if nothing is deployed at all."""
    deployed = Deployed(system)
    return [_examined(check, deployed) for check in CHECKS]


def _examined(check: Callable[[Deployed], Iterator[Problem]], deployed: Deployed) -> Finding:
    """Make a check. Its docstring says what holds if there are no problems."""
    name, problems = check.__name__, list[Problem]()
    try:
        problems.extend(check(deployed))
    except ClientError as error:
        if error.response["Error"]["Code"] not in GONE:
            return Finding(name, unknown=in_words(error))
        problems.append(Problem("a resource of the check", f"is gone: {in_words(error)}", RESTORE))
    except BotoCoreError as error:
        return Finding(name, unknown=in_words(error))
    except (CannotTell, RetryableError) as error:
        return Finding(name, unknown=str(error))
    return Finding(name, ok=check.__doc__ or "", problems=tuple(problems))


# ------------------------------------------------------------------------------------------------------------ deployed


def stacks(deployed: Deployed) -> Iterator[Problem]:
    """the common stack and each pipeline's table stack are deployed completely"""
    if deployed.common is None:
        missing = "there is a state table, but no stack of that name"
        yield Problem(NAME, missing, f"{DEPLOY}: it takes over what an earlier stack left")
    else:
        yield from _of_status(NAME, deployed.common)
    for pipeline in deployed.pipelines:
        if stack := deployed.stacks.get(pipeline.stack_id):
            yield from _of_status(pipeline.pipeline, stack)
        else:
            yield Problem(pipeline.pipeline, "is registered, but its table stack is gone", TAKE_OVER)
    for name in deployed.unregistered_stacks:
        remedy = f"aws cloudformation delete-stack --stack-name {name}, wait until it is deleted, then {DEPLOY}"
        yield Problem(name, "its pipeline is not registered, so every request is refused", f"{remedy}: data stays")
    for holder in deployed.vanished_holders:
        yield Problem(holder, "its catalog name is taken by a table stack that is gone", TAKE_OVER)


def _of_status(subject: str, stack: dict[str, Any]) -> Iterator[Problem]:
    """Yield a problem unless the status is that of a complete deployment or a complete rollback."""
    name, status = stack["StackName"], stack["StackStatus"]
    if status.endswith("_IN_PROGRESS") and status not in NEVER_DEPLOYED:
        yield Problem(subject, f"is being deployed: {status}", "wait, then run doctor again")
    elif status == "DELETE_FAILED":
        reason = stack.get("StackStatusReason", "no reason given")
        delete = f"correct the reason, then run aws cloudformation delete-stack --stack-name {name}"
        yield Problem(subject, f"its stack could not be deleted: {reason}", delete)
    elif status == "UPDATE_ROLLBACK_FAILED":
        reason = stack.get("StackStatusReason", "no reason given")
        continue_it = f"aws cloudformation continue-update-rollback --stack-name {name}"
        remedy = f"correct the reason, run {continue_it}, then {DEPLOY}"
        yield Problem(subject, f"its last deployment could not be rolled back: {reason}", remedy)
    elif status in NEVER_DEPLOYED or status.endswith("_FAILED"):
        yield Problem(
            subject, f"its last deployment failed: {status}", f"{DEPLOY}: it shows the reason and continues from there"
        )


def records(deployed: Deployed) -> Iterator[Problem]:
    """the records of all pipelines and of their latest exports are valid"""
    for invalid in deployed.invalid_records:
        yield Problem(invalid.pipeline, str(invalid), invalid.remedy)


def names(deployed: Deployed) -> Iterator[Problem]:
    """each pipeline holds the names of its entities"""
    for pipeline in deployed.pipelines:
        for name in pipeline.entities:
            found = deployed.holders.get(name)
            if found is None:
                remedy = (
                    f"aws dynamodb put-item --table-name {NAME} --item '{json.dumps(claim_record(name, pipeline))}' "
                    "--condition-expression 'attribute_not_exists(pipeline)'"
                )
                what = f"does not hold the name of its entity {name}, so another pipeline could take it"
                yield Problem(pipeline.pipeline, what, remedy)
            elif found != (pipeline.pipeline, pipeline.stack_id):
                what = f"the name of its entity {name} is held by the pipeline {found[0]} in stack {found[1]}"
                remedy = "delete that stack or deploy it with another CatalogName, then run doctor again"
                yield Problem(pipeline.pipeline, what, remedy)


def crawlers(deployed: Deployed) -> Iterator[Problem]:
    """each pipeline has its crawler"""
    for pipeline in deployed.pipelines:
        if pipeline.crawler_name not in deployed.crawlers:
            yield Problem(pipeline.pipeline, f"there is no crawler {pipeline.crawler_name}", RESTORE)


def tables(deployed: Deployed) -> Iterator[Problem]:
    """each table exists, and can be read in its pipeline's read mode and with its key"""
    client = deployed.client("dynamodb")

    def look(pipeline: Pipeline) -> Problem | None:
        table, restore = pipeline.table_name, "restore it, or remove the pipeline: docs/runbook.md"
        try:
            described = client.describe_table(TableName=table)["Table"]
        except client.exceptions.ResourceNotFoundException:
            return Problem(pipeline.pipeline, f"there is no table {table}", restore)
        status, key = described["TableStatus"], described.get("SSEDescription", {}).get("KMSMasterKeyArn")
        if status not in ("ACTIVE", "UPDATING"):
            return Problem(pipeline.pipeline, f"the table {table} is {status}", restore)
        if pipeline.read_mode == "export":
            found = client.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
            recovery = found.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
            if recovery != "ENABLED":
                what = f"has ReadMode export, but {table} has no point-in-time recovery"
                return Problem(pipeline.pipeline, what, "enable that, or deploy with ReadMode: auto")
        if key and key != deployed.parameter(pipeline, "TableKmsKeyArn") and _is_customers(key):
            what = f"{table} is encrypted with the key {key}, which its table stack does not know"
            return Problem(pipeline.pipeline, what, f"set TableKmsKeyArn of {table} in tables.yaml, then {DEPLOY}")
        return None

    def _is_customers(key: str) -> bool:
        """Return whether the account manages the key. AWS lets everyone in the account use a key that AWS manages."""
        return deployed.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyManager"] == "CUSTOMER"

    yield from filter(None, deployed.of_each_pipeline(look))


def functions(deployed: Deployed) -> Iterator[Problem]:
    """each function can run"""
    client = deployed.client("lambda")
    for name in deployed.names("::Function"):
        try:
            found = client.get_function_configuration(FunctionName=name)
        except client.exceptions.ResourceNotFoundException:
            yield Problem(name, "is gone", RESTORE)
            continue
        if found.get("State", "Active") not in ("Active", "Inactive"):
            yield Problem(name, f"is {found['State']}: {found.get('StateReason', 'no reason given')}", RESTORE)
        if found.get("LastUpdateStatus", "Successful") == "Failed":
            yield Problem(name, f"was not updated: {found.get('LastUpdateStatusReason', 'no reason given')}", RESTORE)
        if client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions") == 0:
            yield Problem(
                name,
                "may not run: its reserved concurrency is 0",
                f"aws lambda delete-function-concurrency --function-name {name}",
            )


def queues(deployed: Deployed) -> Iterator[Problem]:
    """each queue exists"""
    client = deployed.client("sqs")
    for url in deployed.names("SQS::Queue"):
        try:
            client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        except client.exceptions.QueueDoesNotExist:
            yield Problem(url.rpartition("/")[2], "is gone: what is sent to it is lost", RESTORE)


# ----------------------------------------------------------------------------------------------------------- permitted


def deliveries(deployed: Deployed) -> Iterator[Problem]:
    """each rule has its function as a target, and may invoke it"""
    client, policies = deployed.client("lambda"), dict[str, list[dict[str, Any]] | None]()
    expected = set(deployed.names("Events::Rule"))
    for bus, rule in deployed.rules:
        if rule["Name"] not in expected:
            continue
        targets = deployed.client("events").list_targets_by_rule(Rule=rule["Name"], EventBusName=bus)["Targets"]
        if not targets:
            yield Problem(_on(bus, rule["Name"]), "has no target", RESTORE)
        for function in (target["Arn"] for target in targets if ":function:" in target["Arn"]):
            if function not in policies:
                policies[function] = _statements(client, function)
            statements = policies[function]
            if statements is not None and not any(_lets_in(statement, rule["Arn"]) for statement in statements):
                name = function.rpartition(":")[2]
                yield Problem(
                    _on(bus, rule["Name"]),
                    f"may not invoke {name}",
                    f"aws lambda add-permission --function-name {name} --statement-id {rule['Name']}-{bus} "
                    f"--action lambda:InvokeFunction --principal events.amazonaws.com --source-arn {rule['Arn']}",
                )


def _statements(client: Any, function: str) -> list[dict[str, Any]] | None:
    """Return the statements of the function's policy. None if there is no function: the check of functions says so."""
    try:
        return list(json.loads(client.get_policy(FunctionName=function)["Policy"])["Statement"])
    except client.exceptions.ResourceNotFoundException:
        pass  # of the policy, or of the function
    try:
        client.get_function_configuration(FunctionName=function)
    except client.exceptions.ResourceNotFoundException:
        return None
    return []


def _lets_in(statement: dict[str, Any], rule: str) -> bool:
    """Return whether the statement lets EventBridge invoke the function for the rule. Only source ARNs are checked."""
    principal = statement.get("Principal")
    services = principal.get("Service") if isinstance(principal, dict) else principal
    if statement.get("Effect") != "Allow" or "events.amazonaws.com" not in (services or ""):
        return False
    patterns = [
        pattern
        for condition in statement.get("Condition", {}).values()
        for key, value in condition.items()
        if key.lower() == "aws:sourcearn"
        for pattern in ([value] if isinstance(value, str) else value)
    ]
    return not patterns or any(fnmatchcase(rule, pattern) for pattern in patterns)


def roles(deployed: Deployed) -> Iterator[Problem]:
    """each role exists, schedules may request exports, and each job may read its table and write its snapshots"""
    iam, bus = deployed.client("iam"), deployed.client("events").describe_event_bus(Name=NAME)["Arn"]
    partition, region, account = (bus.split(":")[n] for n in (1, 3, 4))
    # The first is a frequent condition of organizations' policies. The second is one of ours: ADR 15.
    common = {"aws:RequestedRegion": region, "aws:ResourceAccount": account}

    def may_not(of: str, role: str, action: str, resource: str, **known: str) -> Iterator[Problem]:
        """Ask IAM's simulator, which includes permission boundaries and the organization's policies."""
        arn = role if role.startswith("arn:") else f"arn:{partition}:iam::{account}:role/{role}"
        context = [
            {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]}
            for key, value in (common | known).items()
        ]
        try:
            simulated = iam.simulate_principal_policy(
                PolicySourceArn=arn, ActionNames=[action], ResourceArns=[resource], ContextEntries=context
            )
        except iam.exceptions.NoSuchEntityException:
            return  # is_gone reports it
        for result in simulated["EvaluationResults"]:
            if result["EvalDecision"] == "allowed":
                continue
            if missing := result.get("MissingContextValues"):
                raise CannotTell(f"whether {action} is allowed depends on {', '.join(missing)}")
            remedy = "aws iam simulate-principal-policy shows which policy, boundary or organization's policy denies it"
            yield Problem(of, f"{arn.rpartition('/')[2]} may not {action} on {resource}", remedy)

    def is_gone(of: str, role: str) -> Iterator[Problem]:
        try:
            iam.get_role(RoleName=role.rpartition("/")[2])
        except iam.exceptions.NoSuchEntityException:
            yield Problem(of, f"its role {role.rpartition('/')[2]} is gone", RESTORE)

    def of_pipeline(pipeline: Pipeline) -> list[Problem]:
        crawler = deployed.crawlers.get(pipeline.crawler_name)
        return [*(is_gone(pipeline.pipeline, crawler["Role"]) if crawler else ()), *of_job(pipeline)]

    def of_job(pipeline: Pipeline) -> list[Problem]:
        job, place = deployed.jobs.get(pipeline.glue_job_name), urlsplit(pipeline.output_prefix)
        if job is None:
            return []  # the check of versions reports it
        table = f"arn:{partition}:dynamodb:{region}:{account}:table/{pipeline.table_name}"
        snapshot = f"arn:{partition}:s3:::{place.netloc}{place.path}/any"
        name, role = pipeline.pipeline, job["Role"]
        return [
            *is_gone(name, role),
            *may_not(name, role, "dynamodb:Scan", table),
            *may_not(name, role, "s3:PutObject", snapshot),
        ]

    request = {"events:source": SOURCE, "events:detail-type": ResumeRequest.detail_type}
    yield from may_not("all schedules", deployed.named("ScheduleRole"), "events:PutEvents", bus, **request)
    for role in deployed.names("IAM::Role"):
        yield from is_gone(NAME, role)
    for found in deployed.of_each_pipeline(of_pipeline):
        yield from found


# ------------------------------------------------------------------------------------------------------------- enabled


def rules(deployed: Deployed) -> Iterator[Problem]:
    """each rule exists and is enabled"""
    expected = Counter(deployed.names("Events::Rule"))
    for bus, rule in deployed.rules:
        if rule["Name"] in expected and rule["State"] == "DISABLED":
            remedy = f"aws events enable-rule --name {rule['Name']} --event-bus-name {bus}"
            yield Problem(_on(bus, rule["Name"]), "is disabled: its events reach no function", remedy)
    for name in sorted((expected - Counter(rule["Name"] for _, rule in deployed.rules)).elements()):
        yield Problem(name, "is gone", RESTORE)


def streams(deployed: Deployed) -> Iterator[Problem]:
    """functions read the stream of record changes and the queue of redelivered messages"""
    client = deployed.client("lambda")
    for name in deployed.names("EventSourceMapping"):
        try:
            found = client.get_event_source_mapping(UUID=name)
        except client.exceptions.ResourceNotFoundException:
            yield Problem(name, "is gone: a function does not read its stream or queue", RESTORE)
            continue
        function = found["FunctionArn"].rpartition(":")[2]
        if found["State"] in ("Disabled", "Disabling"):
            remedy = f"aws lambda update-event-source-mapping --uuid {name} --enabled"
            yield Problem(function, f"reads nothing: its event source mapping is {found['State']}", remedy)
        elif found.get("LastProcessingResult", "").startswith("PROBLEM"):
            remedy = 'correct the error: docs/runbook.md, "functions-fail". Lambda continues by itself'
            yield Problem(function, found["LastProcessingResult"], remedy)


def schedules(deployed: Deployed) -> Iterator[Problem]:
    """the reconciler's schedule is enabled, and those of all pipelines are as deployed"""
    for name in deployed.names("Scheduler::Schedule"):
        if deployed.schedules.get(name) != "ENABLED":
            found = deployed.schedules.get(name, "gone")
            yield Problem(
                name,
                f"is {found}: lost events are not found, and alarms get no metrics of pipelines",
                RESTORE,
            )
    for pipeline in deployed.pipelines:
        schedule = deployed.outputs(pipeline).get("ScheduleName")
        if schedule is None:
            continue  # its stack is gone: the check of stacks reports it
        state = deployed.schedules.get(schedule)
        if state is None:
            yield Problem(pipeline.pipeline, f"its schedule {schedule} is gone", RESTORE)
        elif pipeline.scheduled != (state == "ENABLED"):
            deployed_as = "ENABLED" if pipeline.scheduled else "DISABLED"
            yield Problem(
                pipeline.pipeline,
                f"was deployed with ScheduleState {deployed_as}, but its schedule is {state}",
                f"set ScheduleState in tables.yaml as it should be, then {RESTORE}",
            )


def archives(deployed: Deployed) -> Iterator[Problem]:
    """requests and AWS's events are archived, for replays"""
    found = deployed.client("events").list_archives(NamePrefix=f"{NAME}-")["Archives"]
    states = {archive["ArchiveName"]: archive["State"] for archive in found}
    for name in (REQUESTS, AWS_EVENTS):
        if states.get(name) not in ("ENABLED", "UPDATING"):
            yield Problem(name, f"is {states.get(name, 'gone')}: current events cannot be replayed", RESTORE)


# ---------------------------------------------------------------------------------------------------------- subscribed


def subscriptions(deployed: Deployed) -> Iterator[Problem]:
    """someone is notified of alarms"""
    topic = deployed.named("Alarms")
    pages = deployed.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    found = [subscription for page in pages for subscription in page["Subscriptions"]]
    if not found:
        remedy = "AlarmEmail in table-exports.toml and make deploy, or a subscription of your own to the topic"
        yield Problem(topic.rpartition(":")[2], "nobody is notified of alarms", remedy)
    for subscription in found:
        if not subscription["SubscriptionArn"].startswith("arn:"):
            yield Problem(
                subscription["Endpoint"], "has not confirmed its subscription", "open the link in AWS's message"
            )


def alarms(deployed: Deployed) -> Iterator[Problem]:
    """each alarm exists, and its actions are enabled"""
    for name in [name.rpartition(":")[2] for name in deployed.names("Alarm")]:
        if name not in deployed.alarms:
            yield Problem(name, "is gone", RESTORE)
        elif not deployed.alarms[name]["ActionsEnabled"]:
            enable = f"aws cloudwatch enable-alarm-actions --alarm-names {name}"
            yield Problem(name, "notifies nobody: its actions are disabled", enable)


def quiet(deployed: Deployed) -> Iterator[Problem]:
    """no alarm is in state ALARM"""
    for name, alarm in sorted(deployed.alarms.items()):
        if alarm["StateValue"] == "ALARM":
            what, _, where = alarm.get("AlarmDescription", "").partition(" See ")
            yield Problem(name, what or "is in state ALARM", f"see {where}" if where else "docs/runbook.md")


def _on(bus: str, rule: str) -> str:
    return f"{rule} on {'the default bus' if bus == 'default' else bus}"


CHECKS = (
    stacks,
    records,
    names,
    *running.CHECKS,
    crawlers,
    tables,
    functions,
    queues,
    deliveries,
    roles,
    rules,
    streams,
    schedules,
    archives,
    subscriptions,
    alarms,
    quiet,
    *queryable.CHECKS,
)
