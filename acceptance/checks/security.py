"""Claims about what roles may not do."""

from typing import Any

from botocore.exceptions import ClientError

from acceptance.claims import Evidence, check, expect
from acceptance.world import World
from infra.deploy.tables_file import COMMON_STACK

SUBJECT = "Security"


@check(
    "widget-role",
    SUBJECT,
    "The widget's role can publish only events of its source and type",
    "asks IAM's simulator about requests, other events and other sources",
    in_sandbox="the sandbox's simulator evaluates the same conditions",
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


@check(
    "reserved-source",
    SUBJECT,
    "The bus rejects the events of the reconciler and of exports from everyone else",
    "publishes one of each with your permissions, with a detail that fits no export",
    not_in_sandbox="your credentials there are root's, for which it checks no policy. A test forges events in roles",
)
def source_is_reserved(world: World) -> Evidence:
    forgeries = {
        f"{COMMON_STACK}.reconciler": "Glue Job State Change",
        COMMON_STACK: "Export Succeeded",
    }
    accepted = [source for source, kind in forgeries.items() if is_accepted(world, source, kind)]
    expect(not accepted, f"accepted events with the source {', '.join(accepted)}")
    return Evidence("both are rejected", {"events": len(forgeries)})


def is_accepted(world: World, source: str, detail_type: str) -> bool:
    entry = {"EventBusName": world.common["BusArn"], "Source": source, "DetailType": detail_type, "Detail": "{}"}
    try:
        return bool(world.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0)
    except ClientError as error:
        if error.response["Error"]["Code"] == "AccessDeniedException":
            return False
        raise


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
