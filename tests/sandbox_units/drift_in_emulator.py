"""Runs in the emulator's environment: changes and deletes resources of a stack, and reverts that with a change set."""

import asyncio
import json
import runpy
import sys

from ministack.services import glue, scheduler
from ministack.services.cloudformation import _change_sets, _stacks, handlers

drift_aware = runpy.run_path(sys.argv[1])
TARGET = {"Arn": "arn:aws:lambda:us-east-1:000000000000:function:f", "RoleArn": "arn:aws:iam::000000000000:role/r"}
SCHEDULE = {"Name": "nightly", "ScheduleExpression": "rate(1 day)", "State": "ENABLED", "Target": TARGET}
JOB = {"Name": "export", "Role": "r", "Command": {"Name": "glueetl", "ScriptLocation": "s3://b/k"}}
TEMPLATE = json.dumps(
    {
        "Resources": {
            "Schedule": {
                "Type": "AWS::Scheduler::Schedule",
                "Properties": {**SCHEDULE, "FlexibleTimeWindow": {"Mode": "OFF"}},
            },
            "Job": {"Type": "AWS::Glue::Job", "Properties": JOB},
        }
    }
)


async def settled() -> str:
    while _stacks["s"]["StackStatus"].endswith("_IN_PROGRESS"):
        await asyncio.sleep(0.01)
    return _stacks["s"]["StackStatus"]


def plan(name: str, **more: str) -> dict:
    request = {"StackName": "s", "ChangeSetName": name, "ChangeSetType": "UPDATE", "TemplateBody": TEMPLATE, **more}
    response = drift_aware["create"](request)
    assert response[0] == 200, response
    [change_set] = [each for each in _change_sets.values() if each["ChangeSetName"] == name]
    return change_set


def changes(change_set: dict) -> dict:
    found = [change["ResourceChange"] for change in change_set["Changes"]]
    return {change["LogicalResourceId"]: change["Action"] for change in found}


async def main() -> dict:
    handlers._create_stack({"StackName": "s", "TemplateBody": TEMPLATE})
    said = {"created": await settled()}
    said["without drift"] = plan("none", DeploymentMode="REVERT_DRIFT")["Status"]
    scheduler._schedules["default/nightly"]["State"] = "DISABLED"
    glue._jobs.pop("export")
    said["ordinary"] = plan("ordinary")["Status"]
    revert = plan("revert", DeploymentMode="REVERT_DRIFT")
    said["changes"] = changes(revert)
    drift_aware["execute"]({"StackName": "s", "ChangeSetName": "revert"})
    said["executed"] = await settled()
    said["state"] = scheduler._schedules["default/nightly"]["State"]
    said["job"] = "export" in glue._jobs
    said["afterwards"] = plan("afterwards", DeploymentMode="REVERT_DRIFT")["Status"]
    return said


print(json.dumps(asyncio.run(main())))
