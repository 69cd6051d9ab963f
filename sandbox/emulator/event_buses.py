"""What MiniStack's IAM lacks for event buses. Runs in the emulator's process.

It evaluates the conditions of PutEvents for each entry, and the policies of event buses. The policy simulator gets the
context entries of its caller. `aws:PrincipalArn` is the ARN of a role, and not that of its session. Trust policies of
services can ask for the account that they act for.
"""

import json
from contextvars import ContextVar
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.services import eventbridge, iam

Params = dict[str, Any]
PUT_EVENTS = "events:PutEvents"
ENTRIES = "events:entries"  # no condition key of AWS: it brings the entries of a call to its evaluation
enforce, request_context = iam_evaluator.enforce, iam_actions.request_tag_context
condition_key, addressed_buses = iam_evaluator._resolve_condition_key, iam_actions.eventbridge_resource_arns
simulate_parameters, results = iam._extract_simulate_params, iam._build_simulate_results_real
plain_context = iam_evaluator.EvalContext
simulated_context: ContextVar[dict[str, Any]] = ContextVar("simulated_context", default={})  # noqa: B039


def context_with_entries(service: str, action: str, body: bytes, params: Params) -> dict[str, Any]:
    context = request_context(service, action, body, params)
    if action != PUT_EVENTS:
        return context
    try:
        entries = json.loads(body)["Entries"]
    except (ValueError, KeyError, TypeError):
        return context
    return context | {ENTRIES: [entry for entry in entries if isinstance(entry, dict)]}


def enforce_entries(
    access_key: str, action: str, service: str, region: str, resource_arn: str = "*", service_context: Any = None
) -> Any:
    """Returns None if the call is allowed. PutEvents is allowed if each of its entries is."""
    context = dict(service_context or {})
    for entry in context.pop(ENTRIES, None) or [None]:
        known, arn = context, resource_arn
        if entry is not None:
            known = context | {"events:source": entry.get("Source"), "events:detail-type": entry.get("DetailType")}
            [arn] = addressed_buses(json.dumps({"Entries": [entry]}), region, iam.get_account_id())
        if denied := enforce(access_key, action, service, region, resource_arn=arn, service_context=known):
            return denied
    return None


def bus_policy(arn: str) -> tuple[dict[str, Any], str] | None:
    """Returns the policy of a bus and the account that owns the bus."""
    found = eventbridge._event_bus_policies.get(arn.rpartition("/")[2])
    return (found, arn.split(":")[4]) if found else None


def known_of(key: str, context: Any) -> Any:
    """Returns the value of a condition key. Root assumes roles in place of services, which act for its account."""
    value = condition_key(key, context)
    if key.lower() == "aws:sourceaccount" and context.action == "sts:AssumeRole" and context.principal_type == "Root":
        return context.principal_account
    if key.lower() == "aws:principalarn" and ":assumed-role/" in value:
        role = iam._roles.get(iam_evaluator._role_name_from_assumed_arn(value))
        return role["Arn"] if role else value
    return value


# ---------------------------------------------------------------------------------------------------------- simulation


def parameters_with_context(params: Params) -> tuple[list[str], str]:
    entries, number = {}, 1
    while name := iam._p(params, f"ContextEntries.member.{number}.ContextKeyName"):
        entries[name.lower()] = iam._p(params, f"ContextEntries.member.{number}.ContextKeyValues.member.1")
        number += 1
    simulated_context.set(entries)
    return simulate_parameters(params)


def context_of_simulation(**given: Any) -> Any:
    return plain_context(**{"service_context": simulated_context.get()} | given)


def simulation_results(*args: Any) -> str:
    iam_evaluator.EvalContext = context_of_simulation
    try:
        return results(*args)
    finally:
        iam_evaluator.EvalContext = plain_context


# ------------------------------------------------------------------------------------------------------ CloudFormation


def put_statement(logical_id: str, props: dict, stack_name: str) -> tuple[str, dict]:
    bus, statement = props.get("EventBusName", "default"), props["Statement"]
    name = props["StatementId"]
    policy = eventbridge._event_bus_policies.get(bus) or {"Version": "2012-10-17", "Statement": []}
    others = [other for other in policy["Statement"] if other.get("Sid") != name]
    eventbridge._event_bus_policies[bus] = policy | {"Statement": [*others, {"Sid": name} | statement]}
    return f"{bus}|{name}", {}


def update_statement(physical_id: str, old_props: dict, new_props: dict, stack_name: str) -> tuple[str, dict]:
    return put_statement(physical_id, new_props, stack_name)


def remove_statement(physical_id: str, props: dict) -> None:
    bus, _, name = physical_id.rpartition("|")
    eventbridge._remove_permission({"EventBusName": bus, "StatementId": name})


def install(provisioners: dict[str, Any]) -> None:
    iam_evaluator.enforce, iam_actions.request_tag_context = enforce_entries, context_with_entries
    iam_evaluator._resolve_condition_key = known_of
    iam_actions.eventbridge_resource_arns = lambda *args: addressed_buses(*args)[:1]  # each entry is checked already
    eventbridge.bus_policy = bus_policy
    iam_evaluator._RESOURCE_POLICY_LOOKUPS["events"] = ("eventbridge", "bus_policy")
    iam._extract_simulate_params, iam._build_simulate_results_real = parameters_with_context, simulation_results
    provisioners["AWS::Events::EventBusPolicy"] = {
        "create": put_statement,
        "update": update_statement,
        "delete": remove_statement,
    }
