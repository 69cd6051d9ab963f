"""Cold start of each service, beside a bare boto3 handler that makes the same calls.

Each run is a fresh process, as a Lambda environment is: an interpreter that has boto3 and nothing else, with the
service's zip and the layer on its path, and with the environment variables of infra/common.yaml. It imports the handler
and handles one event that moves an export on. AWS is a local server with prepared answers. The variants run in turn and
are compared as ratios of their medians: CPU seconds (user and system) and peak memory.

There are two variants of ours. `source` is the layer as it is deployed. `compiled` is the same layer with the bytecode
of the interpreter in use. The last lines say what bytecode would save per export, in time and in money.

    python -m benchmarks.cold_start [--runs 15] [--python .venv-emulator/bin/python]
"""

import argparse
import base64
import json
import os
import statistics
import subprocess
import tempfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parent.parent
INTERPRETER = ROOT / ".venv-emulator/bin/python"
TEMPLATE = yaml_parse((ROOT / "infra/common.yaml").read_text())

# Functions that every export invokes. The first three follow one another, so their cold starts add up.
IN_SEQUENCE = ("start_export", "on_glue_complete", "on_view_complete")
PER_EXPORT = (*IN_SEQUENCE, "on_export_changed", "on_export_succeeded")
USD_PER_GB_SECOND = 0.0000133334  # arm64, us-east-1; the INIT phase is billed too
MIB_PER_VCPU = 1769  # Lambda's share of CPU grows with memory

HEAD = {
    "pipeline": "reviews-parquet",
    "record": "pipeline",
    "stack_id": "s",
    "table_name": "Reviews",
    "catalog_name": "reviews",
    "output_format": "parquet",
    "output_prefix": "s3://bucket/exports/snapshots_reviews",
    "glue_job_name": "table-exports-reviews-parquet",
    "crawler_name": "table-exports-reviews-parquet",
}
EXPORT = HEAD | {
    "record": "export#2026-11-23T02-00-07Z#e1",
    "export_id": "e1",
    "snapshot_timestamp": "2026-11-23T02-00-07Z",
    "requested_at": "2026-11-23T02:00:07+00:00",
    "waiting_since": "2026-11-23T02:00:07.654321+00:00",
}
PROOF = {"version": 2, "export_id": "e1", "snapshot_timestamp": "2026-11-23T02-00-07Z"}
PROOF |= {
    "output_format": "parquet",
    "items_counted": 2,
    "items_written": 2,
    "items_expected": 2,
    "files": 1,
    "bytes": 9,
}
PROOF |= {"columns": [{"name": "asin", "type": "string", "attribute": "asin"}], "serde_parameters": {}}


def item(attributes: dict, **more: str) -> dict:
    numbers = {"timeout_minutes": {"N": "480"}, "read_percentage": {"N": "0.25"}, "own_crawl": {"BOOL": True}}
    return {name: {"S": value} for name, value in (attributes | more).items()} | numbers


def waiting(stage: str, waiting_on: str, heads: int = 1) -> dict:
    """DynamoDB's answers: the index finds the export, and then its record is read, and then that of its pipeline."""
    export = item(EXPORT, stage=stage, waiting_on=waiting_on)
    return {"Query": {"Items": [export], "Count": 1}, "GetItem": [{"Item": export}, *heads * [HEAD_FOUND]]}


def captured(name: str) -> dict:
    return json.loads((ROOT / f"tests/events/{name}.json").read_text())


ROLE = "arn:aws:iam::123456789012:role/table-exports/x"
SESSION = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>a</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2026-11-23T03:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
TABLE = {"TableSizeBytes": 4096, "ProvisionedThroughput": {"ReadCapacityUnits": 5}}
TABLE_EXPORT = "arn:aws:dynamodb:us-east-1:123456789012:table/Reviews/export/01795399210000-06e2188f"
HEAD_FOUND = {"Item": item(HEAD, export_in_flight=EXPORT["record"])}
HIVE_PARQUET = "org.apache.hadoop.hive.ql.io.parquet"
CATALOGED = {
    "Table": {
        "Name": "snapshots_reviews",
        "StorageDescriptor": {
            "Columns": [{"Name": "asin", "Type": "string"}],
            "Location": f"{HEAD['output_prefix']}/",
            "InputFormat": f"{HIVE_PARQUET}.MapredParquetInputFormat",
            "OutputFormat": f"{HIVE_PARQUET}.MapredParquetOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": f"{HIVE_PARQUET}.serde.ParquetHiveSerDe",
                "Parameters": {"serialization.format": "1"},
            },
        },
        "PartitionKeys": [{"Name": "snapshot_timestamp", "Type": "string"}],
        "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet"},
    }
}
VIEW_QUERY = "SELECT asin FROM snapshots_reviews WHERE snapshot_timestamp = '2026-11-22T02-00-07Z'"
VIEW_TEXT = base64.b64encode(json.dumps({"originalSql": VIEW_QUERY}).encode()).decode()
VIEW = {"Name": "reviews", "TableType": "VIRTUAL_VIEW", "ViewOriginalText": f"/* Presto View: {VIEW_TEXT} */"}


def table_or_view(request: dict) -> dict:
    return CATALOGED if request["Name"] == CATALOGED["Table"]["Name"] else {"Table": VIEW}


PARTITION = {"DatabaseName": "d", "TableName": "t", "PartitionInputList": [{"Values": ["x"]}]}
KEY = {"TableName": "t", "Key": {"pipeline": {"S": "p"}, "record": {"S": "r"}}}
QUERY = {"TableName": "t", "KeyConditionExpression": "a = :a", "ExpressionAttributeValues": {":a": {"S": "x"}}}
HERE = {"account": "123456789012", "region": "us-east-1"}
REQUEST = {name: HEAD[name] for name in ("pipeline", "table_name", "output_prefix", "output_format", "glue_job_name")}
REQUEST |= {"crawler_name": HEAD["crawler_name"], "read_percentage": 0.25}

# Per service: the event, and what AWS answers to each operation. A list has its answers in turn, and a function gets
# the request.
CASES = {
    "start_export": (
        HERE | {"id": "1", "detail": REQUEST},
        {
            "GetItem": {"Item": item(HEAD, table_role_arn=ROLE)},
            "Query": {"Items": []},
            "AssumeRole": SESSION,
            "DescribeTable": {"Table": TABLE},
            "GetTable": table_or_view,
            "DescribeContinuousBackups": {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED"}},
            "StartJobRun": {"JobRunId": "jr_1"},
        },
    ),
    "on_table_exported": (
        captured("s3_object_created"),
        waiting("STAGING", f"table-export/{TABLE_EXPORT}")
        | {
            "GetObject": {"exportArn": TABLE_EXPORT},
            "GetJobRuns": {"JobRuns": []},
            "StartJobRun": {"JobRunId": "jr_1"},
        },
    ),
    "on_glue_complete": (
        captured("glue_job_succeeded"),
        waiting("EXPORTING", f"glue-job-run/{captured('glue_job_succeeded')['detail']['jobRunId']}")
        | {
            "GetTable": table_or_view,
            "StartQueryExecution": {"QueryExecutionId": "q"},
        },
    ),
    "on_crawler_complete": (
        captured("glue_crawler_succeeded"),
        waiting("CATALOGING", f"glue-crawler/{HEAD['crawler_name']}")
        | {
            "GetTable": table_or_view,
            "GetPartitions": {"Partitions": []},
            "StartQueryExecution": {"QueryExecutionId": "q"},
        },
    ),
    "on_view_complete": (
        captured("athena_query_succeeded"),
        waiting(
            "PUBLISHING", f"athena-query/{captured('athena_query_succeeded')['detail']['queryExecutionId']}", heads=2
        ),
    ),
    "on_export_changed": (
        {
            "Records": [
                {
                    "dynamodb": {
                        "OldImage": item(EXPORT, stage="STARTING", waiting_on="export-request/e1"),
                        "NewImage": item(EXPORT, stage="EXPORTING", waiting_on="glue-job-run/jr_1"),
                    }
                }
            ]
        },
        {"PutEvents": {"FailedEntryCount": 0, "Entries": []}},
    ),
    "on_export_succeeded": (
        HERE
        | {"id": "1", "detail-type": "Export Succeeded", "detail": {"pipeline": HEAD["pipeline"], "export_id": "e1"}},
        {"GetItem": HEAD_FOUND},
    ),
}

# The bare handler's request for each operation that a service was seen to call.
CALLS = {
    "AssumeRole": ("sts", {"RoleArn": ROLE, "RoleSessionName": "e1"}),
    "BatchCreatePartition": ("glue", PARTITION),
    "DescribeContinuousBackups": ("dynamodb", {"TableName": "t"}),
    "DescribeTable": ("dynamodb", {"TableName": "t"}),
    "GetDatabase": ("glue", {"Name": "d"}),
    "GetItem": ("dynamodb", KEY),
    "GetJobRuns": ("glue", {"JobName": "j"}),
    "GetObject": ("s3", {"Bucket": "bucket", "Key": "k"}),
    "GetPartitions": ("glue", {"DatabaseName": "d", "TableName": "t"}),
    "GetTable": ("glue", {"DatabaseName": "d", "Name": "t"}),
    "PutEvents": ("events", {"Entries": [{"Source": "s", "DetailType": "d", "Detail": "{}"}]}),
    "Query": ("dynamodb", QUERY),
    "StartJobRun": ("glue", {"JobName": "j"}),
    "StartQueryExecution": ("athena", {"QueryString": "SELECT 1"}),
    "TransactWriteItems": ("dynamodb", {"TransactItems": [{"Delete": KEY}]}),
    "UpdateItem": ("dynamodb", KEY),
}

MEASURE = """
import json, resource, sys
from types import SimpleNamespace
event = json.loads(sys.argv[1])
context = SimpleNamespace(function_name="f", memory_limit_in_mb=256, invoked_function_arn="a", aws_request_id="r")
{handle}
used = resource.getrusage(resource.RUSAGE_SELF)
sys.stderr.write(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""
SERVICE = "from {service}.handler import handle\nhandle(event, context)"
BARE = """
import boto3
from botocore import xform_name
calls = json.loads(sys.argv[2])
clients = {service: boto3.client(service) for service in {call[0] for call in calls}}
for service, operation, request in calls:
    getattr(clients[service], xform_name(operation))(**request)
print(json.dumps({"handled": event.get("id")}))
"""


NOT_HANDLED = ('"level":"ERROR"', "UnmatchedEvents", "InvalidEvents")


def answering(answers: dict) -> ThreadingHTTPServer:
    """AWS, as far as one event goes: each operation has its answer, all others an empty one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            operation = self.headers.get("X-Amz-Target", "").partition(".")[2]
            if not operation and b"Action=AssumeRole" in body:
                operation = "AssumeRole"
            answer = answers.get(operation, {})
            answer = answer(json.loads(body)) if callable(answer) else answer
            self._send(operation, answer[self.server.answered.count(operation)] if isinstance(answer, list) else answer)

        def do_GET(self) -> None:
            self._send("GetObject", answers.get("GetObject", PROOF))

        def _send(self, operation: str, answer: dict | str) -> None:
            self.server.answered.append(operation)
            body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answered = []
    server.handle_error = lambda *_: None  # a process that ends hangs up
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def variables(service: str) -> dict[str, str]:
    """The environment variables that the template gives a service, with a reference replaced by what it refers to."""
    functions = [each["Properties"] for each in TEMPLATE["Resources"].values()]
    own = next(each["Environment"]["Variables"] for each in functions if each.get("Handler", "").startswith(service))
    return {
        name: text(value) for name, value in (TEMPLATE["Globals"]["Function"]["Environment"]["Variables"] | own).items()
    }


def text(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    name = value["Ref"]
    return str(TEMPLATE["Parameters"].get(name, {}).get("Default", {"AWS::AccountId": "123456789012"}.get(name, name)))


def run_once(command: list[Any], given: dict[str, str], path: list[str], server: ThreadingHTTPServer) -> tuple:
    """(CPU seconds, MiB at the peak) of one fresh process, which must handle its event."""
    server.answered.clear()
    environment = given | {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "_X_AMZN_TRACE_ID": "Root=1-6741a0c7-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1",
        "LAMBDA_TASK_ROOT": "/var/task",  # so that Powertools traces, as on Lambda
    }
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    if ran.returncode or any(sign in ran.stdout for sign in NOT_HANDLED):
        seen = ", ".join(server.answered)
        raise SystemExit(f"Not handled, after {seen}\n{ran.stdout}{ran.stderr}")
    cpu, memory = json.loads(ran.stderr.splitlines()[-1])
    return cpu, memory


def unpacked(folder: Path) -> Path:
    """The layer and all services, as Lambda unpacks them."""
    for name in ("layer", *CASES):
        zipfile.ZipFile(ROOT / f"build/{name}.zip").extractall(folder)
    return folder


def measure(service: str, folders: dict[str, Path], python: Path, runs: int) -> dict[str, tuple[float, float]]:
    """(CPU seconds, MiB), the medians, of the bare handler and of each variant."""
    event, answers = CASES[service]
    server = answering(answers)
    start = [python, "-P", "-c"]
    handle = [*start, MEASURE.replace("{handle}", SERVICE.replace("{service}", service)), json.dumps(event)]
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in ("bare", *folders)}
    for n in range(runs + 1):
        once = {}
        for name, folder in folders.items():
            once[name] = run_once(handle, variables(service), [str(folder), f"{folder}/python"], server)
        calls = [(CALLS[operation][0], operation, CALLS[operation][1]) for operation in server.answered]
        bare = [*start, MEASURE.replace("{handle}", BARE), json.dumps(event), json.dumps(calls)]
        once["bare"] = run_once(bare, {}, [], server)
        if n:  # the first run warms the disk's cache
            for name, figure in once.items():
                figures[name].append(figure)
    server.shutdown()
    return {
        name: (statistics.median(cpu for cpu, _ in found), statistics.median(memory for _, memory in found))
        for name, found in figures.items()
    }


def print_saving(saved: dict[str, float]) -> None:
    """What bytecode in the layer would save, if every function of an export starts cold."""
    in_sequence, total = (sum(saved[service] for service in names) for names in (IN_SEQUENCE, PER_EXPORT))
    memory = TEMPLATE["Globals"]["Function"]["MemorySize"]
    print(f"\nBytecode would save, per export whose {len(PER_EXPORT)} functions all start cold:")
    for cpu, share in (("one vCPU", 1.0), (f"{memory / MIB_PER_VCPU:.2f} vCPU", memory / MIB_PER_VCPU)):
        usd = 1_000_000 * total / share * memory / 1024 * USD_PER_GB_SECOND
        print(f"  with {cpu}: {in_sequence / share:.2f} s of the time, {usd:.2f} USD per million exports")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--runs", type=int, default=15)
    options.add_argument("--python", type=Path, default=INTERPRETER, help="an interpreter that has boto3")
    given = options.parse_args()
    print(f"medians of {given.runs:<6}{'CPU seconds':>22}{'of bare':>24}{'MiB':>12}{'of bare':>11}")
    print(f"{'':16}{'bare':>8}{'source':>10}{'compiled':>10}{'source':>10}{'compiled':>10}{'source':>10}{'source':>10}")
    saved = {}
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        folders = {"source": unpacked(Path(one)), "compiled": unpacked(Path(other))}
        for cached in folders["source"].rglob("*.pyc"):
            cached.unlink()
        subprocess.run([given.python, "-m", "compileall", "-q", folders["compiled"] / "python"], check=True)
        for service in CASES:
            found = measure(service, folders, given.python, given.runs)
            (bare, bare_memory), (source, memory), (compiled, _) = found.values()
            saved[service] = source - compiled
            print(
                f"{service:20}{bare:4.3f}{source:9.3f}{compiled:9.3f}{source / bare:10.2f}{compiled / bare:10.2f}"
                f"{memory:11.1f}{memory / bare_memory:10.2f}"
            )
    print_saving(saved)


if __name__ == "__main__":
    main()
