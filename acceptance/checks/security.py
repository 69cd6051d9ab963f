"""Claims about what roles may not do."""

import json
from typing import Any

from botocore.exceptions import ClientError

from acceptance.claims import Evidence, by_hand, check, expect
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


@check(
    "forged-registration",
    SUBJECT,
    "`register_pipeline` ignores events that CloudFormation did not send",
    "invokes the function with an update of a table stack that lowers `KeepSnapshots`, and with its deletion",
    in_sandbox="the emulator's CloudFormation",
)
def registers_only_for_cloudformation(world: World) -> Evidence:
    films = world.planned("films").pipeline
    before = world.system.records.pipeline(films)
    answer = {"Bucket": world.bucket, "Key": f"query-results/{COMMON_STACK}-forged-registration"}
    expect(before is not None, f"there is no pipeline {films}")
    forged: dict[str, Any] = {
        "StackId": before.stack_id if before else "",
        "RequestId": "forged",
        "LogicalResourceId": "Pipeline",
        "PhysicalResourceId": films,
        "ResponseURL": world.client("s3").generate_presigned_url("put_object", answer),
        "ResourceProperties": {"TableName": "forged", "Bucket": world.bucket, "KeepSnapshots": "1"},
    }
    for request_type in ("Update", "Delete"):
        payload = json.dumps(forged | {"RequestType": request_type})
        world.client("lambda").invoke(FunctionName=f"{COMMON_STACK}-register_pipeline", Payload=payload)
    after = world.system.records.pipeline(films)
    expect(after == before, f"the pipeline changed: {after}")
    return Evidence(f"{films} is unchanged", {"events": 2})


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


by_hand(
    "table-key",
    SUBJECT,
    "A table with a customer managed key can be scanned, and exported by DynamoDB, with `TableKmsKeyArn`",
    "encrypt a table with your key, set `TableKmsKeyArn`, and run it with `ReadMode` `scan` and `export`",
    "KMS deletes a key after seven days at the earliest, so the suite creates none. The sandbox checks no key policies",
)
by_hand(
    "own-key",
    SUBJECT,
    "Everything works with `KmsKeyArn` and the key policy of docs/deploy.md",
    "set `KmsKeyArn`, run an export in both read modes, replay it, and cause an alarm",
    "KMS deletes a key after seven days at the earliest, so the suite creates none. The sandbox checks no key policies",
)
by_hand(
    "lake-formation",
    SUBJECT,
    "An export that Lake Formation denies the catalog fails before its job, and succeeds after the documented grant",
    "remove `IAMAllowedPrincipals` from the data lake's defaults and the database, run an export, grant, and resume it",
    "The defaults are for all databases of the account, and the caller must be a data lake administrator",
)
