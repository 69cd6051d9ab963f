"""What a user of the sandbox does, with no more than its endpoint: tables, stacks, requests, queries."""

import json
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3

ROOT = Path(__file__).parent.parent
ARN = "arn:aws:{}:us-east-1:123456789012:{}"
BUS = "table-exports"
RESULTS = "s3://table-exports-123456789012-us-east-1/query-results/"
WITHOUT_SPARK = ("--job-modules", str(ROOT / "tests/local_spark"))  # an option of the sandbox
PATIENCE_SECONDS = 240  # on a busy machine
POLL_SECONDS = 0.5
CLAIM = timedelta(seconds=61)  # how long the claim of a function that died holds others off, and a second


@contextmanager
def sandbox(state: Path, *options: str) -> Iterator[str]:
    """Runs a sandbox for as long as the context lasts. Yields its endpoint; its logs are in `state`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--state-dir", str(state), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        impatient = threading.Timer(PATIENCE_SECONDS, process.kill)
        impatient.start()
        try:
            assert process.stdout.readline() == f"ready http://127.0.0.1:{port}\n", f"not ready: see {state}"
            impatient.cancel()
            yield f"http://127.0.0.1:{port}"
        finally:
            impatient.cancel()
            process.terminate()


class StackRefused(Exception):
    pass


class User:
    """Someone with the account's root credentials and the sandbox's endpoint."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.session = boto3.Session("test", "test", region_name="us-east-1")

    # ------------------------------------------------------------------------------------------------ AWS

    @cache  # noqa: B019
    def client(self, service: str, **credentials: str) -> Any:
        return self.session.client(service, endpoint_url=self.endpoint, **credentials)

    @cache  # noqa: B019
    def table(self, name: str) -> Any:
        return self.session.resource("dynamodb", endpoint_url=self.endpoint).Table(name)

    def make_table(self, name: str, items: list[dict[str, Any]], key: dict[str, str]) -> None:
        """`key` is attribute name -> type, the partition key first."""
        self.client("dynamodb").create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in key.items()],
            KeySchema=[{"AttributeName": n, "KeyType": k} for n, k in zip(key, ("HASH", "RANGE"), strict=False)],
            BillingMode="PAY_PER_REQUEST",
        )
        self.put_items(name, items)

    def put_items(self, table: str, items: list[dict[str, Any]]) -> None:
        with self.table(table).batch_writer() as batch:
            for item in items:
                batch.put_item(Item=item)

    def client_of_role(self, service: str, role_arn: str, assumed_by: str | None = None) -> Any:
        """A client in a role, which root assumes, or the role `assumed_by`."""
        sts = self.client_of_role("sts", assumed_by) if assumed_by else self.client("sts")
        issued = sts.assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
        return self.client(
            service,
            aws_access_key_id=issued["AccessKeyId"],
            aws_secret_access_key=issued["SecretAccessKey"],
            aws_session_token=issued["SessionToken"],
        )

    def function_role(self, function: str) -> str:
        """The ARN of the role of a function."""
        name = f"table-exports-{function}"
        return self.client("lambda").get_function_configuration(FunctionName=name)["Role"]

    def invoke(self, function: str, event: Any) -> None:
        answer = self.client("lambda").invoke(FunctionName=f"table-exports-{function}", Payload=json.dumps(event))
        assert "FunctionError" not in answer, answer["Payload"].read()

    @contextmanager
    def denied(self, role_arn: str, *actions: str) -> Iterator[None]:
        """Denies actions to a role for as long as the context lasts."""
        policy = {"RoleName": role_arn.rpartition("/")[2], "PolicyName": "denied"}
        statement = {"Effect": "Deny", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.client("iam").put_role_policy(**policy, PolicyDocument=document)
        try:
            yield
        finally:
            self.client("iam").delete_role_policy(**policy)

    @contextmanager
    def listening(self, pattern: dict[str, Any]) -> Iterator["Listener"]:
        """Receives the events on our bus that match a pattern, for as long as the context lasts."""
        name = f"listening-{uuid.uuid4().hex[:8]}"
        sqs, events = self.client("sqs"), self.client("events")
        queue = sqs.create_queue(QueueName=name)["QueueUrl"]
        events.put_rule(Name=name, EventBusName=BUS, EventPattern=json.dumps(pattern))
        target = {"Id": "queue", "Arn": ARN.format("sqs", name)}
        events.put_targets(Rule=name, EventBusName=BUS, Targets=[target])
        try:
            yield Listener(self, queue)
        finally:
            events.remove_targets(Rule=name, EventBusName=BUS, Ids=["queue"])
            events.delete_rule(Name=name, EventBusName=BUS)
            sqs.delete_queue(QueueUrl=queue)

    # ------------------------------------------------------------------------------------------------ the sandbox

    def calls(self, since: float) -> list[dict[str, Any]]:
        """The calls of AWS APIs since a time, by anyone."""
        with urlopen(f"{self.endpoint}/_sandbox/calls?since={since}") as answer:
            return json.load(answer)

    def inject_faults(self, *faults: dict[str, Any]) -> None:
        self._faults("POST", list(faults))

    def remaining_faults(self) -> list[dict[str, Any]]:
        """The conditions of faults that have not happened yet."""
        return [fault["when"] for fault in self._faults("GET")]

    def clear_faults(self) -> None:
        self._faults("DELETE")

    def _faults(self, method: str, body: Any = None) -> Any:
        request = Request(f"{self.endpoint}/_sandbox/faults", json.dumps(body).encode(), method=method)
        with urlopen(request) as answer:
            return json.load(answer)

    @contextmanager
    def reconciling_at_once(self) -> Iterator[None]:
        """Lets the reconciler ask about every export in flight, however short it has waited."""
        functions, name = self.client("lambda"), "table-exports-reconcile_exports"
        variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        at_once = {"Variables": variables | {"LATE_AFTER_MINUTES": "0"}}
        functions.update_function_configuration(FunctionName=name, Environment=at_once)
        try:
            yield
        finally:
            functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})

    def let_claim_lapse(self, export: dict[str, Any]) -> None:
        """Makes the claim of a function that died a minute older, so that another one can take the export over."""
        self.table("table-exports").update_item(
            Key={name: export[name] for name in ("pipeline", "record")},
            UpdateExpression="SET claimed_at = :earlier",
            ExpressionAttributeValues={":earlier": (datetime.fromisoformat(export["claimed_at"]) - CLAIM).isoformat()},
        )

    def reconcile_until(self, look: Callable[[], Any], what: str) -> Any:
        """What `look` finds, with the reconciler at work."""

        def found() -> Any:
            time.sleep(0.4)  # so that asking leaves the job some processor
            self.invoke("reconcile_exports", {})
            return look()

        return self.wait_for(found, what)

    # ------------------------------------------------------------------------------------------------ pipelines

    def deploy_pipeline(self, table: str, **parameters: str) -> dict[str, str]:
        """The outputs of a table stack, or of one that was refused the reasons."""
        name = f"pipeline-{uuid.uuid4().hex[:8]}"
        cloudformation = self.client("cloudformation")
        given = {"TableName": table} | parameters
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=(ROOT / "build/table.yaml").read_text(),
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        stack = self.wait_for(lambda: self._settled(cloudformation, name), f"stack {name}")
        if stack["StackStatus"] != "CREATE_COMPLETE":
            events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
            raise StackRefused([event.get("ResourceStatusReason", "") for event in events])
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    @staticmethod
    def _settled(cloudformation: Any, name: str) -> dict[str, Any] | None:
        [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack

    def request(self, pipeline: dict[str, str], **changes: Any) -> None:
        detail = json.loads(pipeline["ExportRequest"]) | {"request_id": uuid.uuid4().hex} | changes
        entry = {"Source": "table-exports", "DetailType": "Export Requested", "Detail": json.dumps(detail)}
        answer = self.client("events").put_events(Entries=[entry | {"EventBusName": "table-exports"}])
        assert answer["FailedEntryCount"] == 0

    def exports(self, pipeline: dict[str, str]) -> list[dict[str, Any]]:
        """The records of a pipeline's exports, newest first."""
        return self.table("table-exports").query(
            KeyConditionExpression="pipeline = :pipeline AND begins_with(#record, :export)",
            ExpressionAttributeNames={"#record": "record"},
            ExpressionAttributeValues={":pipeline": pipeline["Pipeline"], ":export": "export#"},
            ScanIndexForward=False,
        )["Items"]

    def ended_exports(self, pipeline: dict[str, str], count: int) -> list[dict[str, Any]]:
        """Waits until there are so many and all have ended."""

        def ended() -> list[dict[str, Any]] | None:
            exports = self.exports(pipeline)
            done = len(exports) == count and all(export["stage"] in ("SUCCEEDED", "FAILED") for export in exports)
            return exports if done else None

        return self.wait_for(ended, f"{count} ended exports")

    def export(self, *pipelines: dict[str, str]) -> list[dict[str, Any]]:
        """Exports all of the pipelines at once. Returns their new records when all have succeeded."""
        counts = [len(self.exports(pipeline)) for pipeline in pipelines]
        for pipeline in pipelines:
            self.request(pipeline)
        newest = [self.ended_exports(*one)[0] for one in zip(pipelines, (c + 1 for c in counts), strict=True)]
        assert {export["stage"] for export in newest} == {"SUCCEEDED"}, [one.get("reason") for one in newest]
        return newest

    def query(self, sql: str) -> list[dict[str, str | None]]:
        athena = self.client("athena")
        query = athena.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Database": "dynamodb_exports"},
            ResultConfiguration={"OutputLocation": RESULTS},
        )["QueryExecutionId"]

        def ended() -> dict[str, Any] | None:
            status = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
            return None if status["State"] in ("QUEUED", "RUNNING") else status

        status = self.wait_for(ended, sql)
        assert status["State"] == "SUCCEEDED", status
        rows = []
        for page in athena.get_paginator("get_query_results").paginate(QueryExecutionId=query):
            rows += [[cell.get("VarCharValue") for cell in row["Data"]] for row in page["ResultSet"]["Rows"]]
        return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]

    def wait_for(self, look: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if (found := look()) is not None:
                return found
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"no {what} within {PATIENCE_SECONDS} s")


class Listener:
    """Receives events of the bus from its queue."""

    def __init__(self, user: User, queue: str) -> None:
        self._user, self._queue = user, queue
        self.received: list[dict[str, Any]] = []

    def wait_for(self, detail_type: str) -> dict[str, Any]:
        """The first event of this type."""
        return self._user.wait_for(lambda: self._receive(detail_type), detail_type)

    def _receive(self, detail_type: str) -> dict[str, Any] | None:
        sqs = self._user.client("sqs")
        answer = sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            self.received.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return next((event for event in self.received if event["detail-type"] == detail_type), None)
