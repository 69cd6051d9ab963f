"""Whoever may invoke register_pipeline sends it events of another stack. The stack itself can do all of it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

STACK = "table-exports-victims"


@pytest.fixture
def answers():
    """What the function answers to CloudFormation, and where it has to send it."""
    received = []

    class Receiver(BaseHTTPRequestHandler):
        def do_PUT(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield received, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


class TableStack:
    def __init__(self, user):
        self._user, self._client = user, user.client("cloudformation")

    def change(self, operation, expected, template=None, **parameters):
        given = {"TableName": "Victims"} | parameters
        changes = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
        body = (
            {} if operation == "delete_stack" else {"TemplateBody": template or template_body(), "Parameters": changes}
        )
        capabilities = {} if operation == "delete_stack" else {"Capabilities": ["CAPABILITY_IAM"]}
        getattr(self._client, operation)(StackName=STACK, **body, **capabilities)
        assert self._user.wait_for(self._status, STACK) == expected

    def _status(self):
        try:
            [stack] = self._client.describe_stacks(StackName=STACK)["Stacks"]
        except self._client.exceptions.ClientError:
            return "gone"
        return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack["StackStatus"]

    def record(self):
        return self._user.table("table-exports").get_item(Key={"pipeline": "victims-parquet", "record": "pipeline"})[
            "Item"
        ]


def template_body():
    from sandbox_user import ROOT

    return (ROOT / "build/table.yaml").read_text()


@pytest.mark.slow
def test_only_the_stack_itself_changes_and_removes_its_pipeline(user, answers):
    received, url = answers
    stack = TableStack(user)
    stack.change("create_stack", "CREATE_COMPLETE", KeepSnapshots="10")
    registered = stack.record()
    stack_id = registered["stack_id"]
    properties = {"TableName": "Victims", "Bucket": "table-exports-123456789012-us-east-1", "KeepSnapshots": "1"}
    forged = {
        "StackId": stack_id,
        "RequestId": "r",
        "LogicalResourceId": "Pipeline",
        "PhysicalResourceId": "victims-parquet",
        "ResponseURL": url,
        "ResourceProperties": properties,
    }

    for request_type in ("Create", "Update", "Delete"):
        user.invoke("register_pipeline", forged | {"RequestType": request_type})

    assert stack.record() == registered
    assert [answer["Status"] for answer in received] == ["FAILED", "FAILED", "SUCCESS"]
    assert all("CloudFormation is not carrying out" in answer["Reason"] for answer in received)

    stack.change("update_stack", "UPDATE_COMPLETE", KeepSnapshots="3")
    assert stack.record()["keep_snapshots"] == 3
    stack.change("update_stack", "UPDATE_ROLLBACK_COMPLETE", KeepSnapshots="2", ScheduleExpression="cron(0 2 * * *)")
    assert stack.record()["keep_snapshots"] == 3
    stack.change("update_stack", "UPDATE_COMPLETE", KeepSnapshots="3", CatalogName="renamed")
    assert "stack_id" not in stack.record()  # the pipeline of the earlier name is removed in the clean-up
    stack.change("delete_stack", "gone")
    held = user.table("table-exports").scan(IndexName="stack_id")["Items"]
    assert [item for item in held if item["stack_id"] == stack_id] == []


IMPOSSIBLE = """Resources:
  Impossible:
    Type: AWS::Glue::Crawler
    DependsOn: Pipeline
    Properties: {Targets: {}}  # a crawler needs a role
"""


@pytest.mark.slow
def test_the_rollback_of_an_update_that_the_pipeline_had_accepted_restores_it(user):
    stack = TableStack(user)
    stack.change("create_stack", "CREATE_COMPLETE", KeepSnapshots="5", MaxReadCost="3")
    registered = stack.record()

    broken = template_body().replace("Resources:\n", IMPOSSIBLE, 1)
    stack.change("update_stack", "UPDATE_ROLLBACK_COMPLETE", template=broken, KeepSnapshots="2", MaxReadCost="4")

    events = user.client("cloudformation").describe_stack_events(StackName=STACK)["StackEvents"]
    seen = [event["ResourceStatus"] for event in events if event["LogicalResourceId"] == "Pipeline"]
    assert seen == ["UPDATE_COMPLETE", "UPDATE_IN_PROGRESS"] * 2 + ["CREATE_COMPLETE", "CREATE_IN_PROGRESS"]
    assert stack.record() == registered
    stack.change("delete_stack", "gone")
