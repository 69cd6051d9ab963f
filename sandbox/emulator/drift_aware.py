"""Drift-aware change sets in MiniStack, which ignores `DeploymentMode`. Runs in the emulator's process.

A change set with `REVERT_DRIFT` also has the resources that were changed or deleted outside CloudFormation. To revert
them, the stack's record of such a resource takes the actual state before the update runs: a deleted one is created
again, and a changed one is updated from its actual properties to those of the template.
Resources of a type without a reader are not compared.
"""

import copy
import json
from typing import Any

from ministack.services import athena, cloudwatch, eventbridge, glue, lambda_svc, scheduler
from ministack.services.cloudformation import _change_sets, changesets, drift, handlers, provisioners

Params = dict[str, Any]
create_change_set, execute_change_set = changesets._create_change_set, changesets._execute_change_set


def schedule(physical_id: str, props: dict) -> dict | None:
    return scheduler._schedules.get(f"{props.get('GroupName', 'default')}/{physical_id}")


def rule(physical_id: str, props: dict) -> dict | None:
    key = eventbridge._rule_key(physical_id, drift._eb_rule_bus_name(props))
    found, targets = eventbridge._rules.get(key), eventbridge._targets.get(key, [])
    if found is None:
        return None
    wanted = props.get("Targets", [])
    same = {target["Id"] for target in wanted} <= {target["Id"] for target in targets}  # its form differs otherwise
    return {"State": found.get("State", "ENABLED"), "Targets": wanted if same else targets}


def permission(physical_id: str, props: dict) -> dict | None:
    function = provisioners._lambda_function_for_cfn_ref(props["FunctionName"])[0]
    statements = function["policy"]["Statement"] if function else []
    return {} if any(statement["Sid"] == physical_id for statement in statements) else None


def invoke_config(physical_id: str, props: dict) -> dict | None:
    function = provisioners._lambda_function_for_cfn_ref(props["FunctionName"])[0] or {}
    return {} if props.get("Qualifier", "") in function.get("event_invoke_configs", {}) else None


read_function, of_functions = drift._DRIFT_READERS["AWS::Lambda::Function"]


def function(physical_id: str, props: dict) -> dict | None:
    found = read_function(physical_id, props)
    if found is not None:
        layers = lambda_svc._functions[physical_id]["config"].get("Layers", [])
        found["Layers"] = [layer["Arn"] for layer in layers]
    return found


def exists_in(store: Any) -> tuple:
    return lambda physical_id, props: {} if physical_id in store else None, frozenset()


def attributes_in(store: Any, *names: str) -> tuple:
    return lambda physical_id, props: store.get(physical_id), frozenset(names)


drift._DRIFT_READERS |= {
    "AWS::Scheduler::Schedule": (schedule, frozenset({"State", "ScheduleExpression"})),
    "AWS::Events::Rule": (rule, frozenset({"State", "Targets"})),
    "AWS::Events::EventBus": exists_in(eventbridge._event_buses),
    "AWS::Lambda::Function": (function, of_functions | {"Layers"}),
    "AWS::Lambda::Permission": (permission, frozenset()),
    "AWS::Lambda::EventInvokeConfig": (invoke_config, frozenset()),
    "AWS::Lambda::EventSourceMapping": exists_in(lambda_svc._esms),
    "AWS::Glue::Database": exists_in(glue._databases),
    "AWS::Glue::Crawler": attributes_in(glue._crawlers, "Role", "DatabaseName"),
    "AWS::Glue::Job": attributes_in(
        glue._jobs, "Role", "Command", "DefaultArguments", "GlueVersion", "WorkerType", "NumberOfWorkers", "Timeout"
    ),
    "AWS::Athena::WorkGroup": exists_in(athena._workgroups),
    "Custom::Alarm": exists_in(cloudwatch._alarms),
    "Custom::CompositeAlarm": exists_in(cloudwatch._composite_alarms),
    "Custom::EventsArchive": exists_in(eventbridge._archives),
}


def drifted(stack: dict, change_set: dict) -> dict[str, dict]:
    """Returns the drift of each resource that stays in the stack, by logical id."""
    found = {}
    with changesets._stack_region_context(stack, stack["StackId"]):
        for logical_id, record in stack.get("_resources", {}).items():
            if drift.supports_drift(record["ResourceType"]) and logical_id in change_set["_template"]["Resources"]:
                state = drift.detect_resource_drift(stack, logical_id, record, change_set["CreationTime"])
                if state["StackResourceDriftStatus"] in ("DELETED", "MODIFIED"):
                    found[logical_id] = state
    return found


def create(params: Params) -> Any:
    planned = handlers._resolve_stack(changesets._p(params, "StackName"))
    response = create_change_set(params)
    stack = handlers._resolve_stack(changesets._p(params, "StackName"))
    if planned and stack and planned["StackStatus"] == "REVIEW_IN_PROGRESS":
        for change_set in _change_sets.values():  # MiniStack replaces a stack that is only planned by another one
            if change_set["StackId"] == planned["StackId"]:
                change_set["StackId"] = stack["StackId"]
    if changesets._p(params, "DeploymentMode") != "REVERT_DRIFT" or response[0] != 200:
        return response
    _, change_set = changesets._find_change_set(
        changesets._p(params, "ChangeSetName"), changesets._p(params, "StackName")
    )
    stack = handlers._resolve_stack(changesets._p(params, "StackName"))
    change_set["_drifted"] = drifted(stack, change_set)
    listed = {change["ResourceChange"]["LogicalResourceId"] for change in change_set["Changes"]}
    change_set["Changes"] += [
        change_of(state) for logical_id, state in change_set["_drifted"].items() if logical_id not in listed
    ]
    if change_set["Changes"]:
        change_set |= {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE", "StatusReason": ""}
    return response


def change_of(state: dict) -> dict:
    deleted = state["StackResourceDriftStatus"] == "DELETED"
    change = {"LogicalResourceId": state["LogicalResourceId"], "ResourceType": state["ResourceType"]}
    if deleted:
        return {"ResourceChange": {**change, "Action": "Add"}}
    names = [each["PropertyPath"].split("/")[1] for each in state["PropertyDifferences"]]
    return {
        "ResourceChange": {
            **change,
            "Action": "Modify",
            "PhysicalResourceId": state["PhysicalResourceId"],
            "Replacement": "False",
            "Scope": ["Properties"],
            "Details": [
                {"Target": {"Attribute": "Properties", "Name": name, "RequiresRecreation": "Never"}} for name in names
            ],
        }
    }


def execute(params: Params) -> Any:
    _, change_set = changesets._find_change_set(
        changesets._p(params, "ChangeSetName"), changesets._p(params, "StackName")
    )
    if change_set and change_set["ExecutionStatus"] == "AVAILABLE":
        resources = handlers._resolve_stack(change_set["StackName"])["_resources"]
        for logical_id, state in change_set.get("_drifted", {}).items():
            if state["StackResourceDriftStatus"] == "DELETED":
                resources.pop(logical_id, None)
            else:
                actual = json.loads(state["ActualProperties"])
                record = resources[logical_id]
                record["Properties"] = {**copy.deepcopy(record["Properties"]), **actual}
    return execute_change_set(params)
