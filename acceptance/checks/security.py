"""Claims about what roles may not do."""

from typing import Any

from acceptance.claims import Evidence, check, expect
from acceptance.world import World
from infra.deploy.tables_file import COMMON_STACK

SUBJECT = "Security"


@check(
    "widget-role",
    SUBJECT,
    "The widget's role can publish only events of its source and type",
    "asks IAM's simulator about requests, other events and other sources",
    not_in_sandbox="the emulator's simulator knows no conditions. A test puts events in the role",
)
def widget_role_is_narrow(world: World) -> Evidence:
    function = f"{COMMON_STACK}-pipeline_widget"
    role = world.client("lambda").get_function_configuration(FunctionName=function)["Role"]
    request = {"events:source": COMMON_STACK, "events:detail-type": "Export Requested"}
    cases: dict[str, tuple[dict[str, str], bool]] = {
        "a request": (request, True),
        "another type": (request | {"events:detail-type": "Export Succeeded"}, False),
        "another source": (request | {"events:source": f"{COMMON_STACK}.reconciler"}, False),
    }
    decisions = {name: allowed(world, role, context) for name, (context, _) in cases.items()}
    expected = {name: wanted for name, (_, wanted) in cases.items()}
    expect(decisions == expected, f"allowed: {decisions}")
    return Evidence("only requests are allowed", {"cases": len(cases)})


def allowed(world: World, role: str, context: dict[str, str]) -> bool:
    entries: list[dict[str, Any]] = [
        {"ContextKeyName": name, "ContextKeyType": "string", "ContextKeyValues": [value]}
        for name, value in context.items()
    ]
    simulated = world.client("iam").simulate_principal_policy(
        PolicySourceArn=role,
        ActionNames=["events:PutEvents"],
        ResourceArns=[world.common["BusArn"]],
        ContextEntries=entries,
    )
    return all(result["EvalDecision"] == "allowed" for result in simulated["EvaluationResults"])
