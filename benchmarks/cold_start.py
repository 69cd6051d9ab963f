"""What a cold start of each service costs, beside a bare boto3 handler that makes the same calls.

Each run is a process of its own, as a Lambda environment is: an interpreter that holds boto3 alone, the service's zip
and the layer on its path. It imports the handler and handles one event that moves an export on; AWS is a local server
with prepared answers. They are run in turn, and compared as ratios of their medians: CPU seconds (user and system)
and peak memory.

Lambda keeps no bytecode of what it imports. So there are two of ours: `source`, the layer without its bytecode,
and `compiled`, the layer with it, as it is shipped; here that of the interpreter at hand.

    python -m benchmarks.cold_start [--runs 15]
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parent.parent
INTERPRETER = ROOT / ".venv-emulator/bin/python"

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


def waiting(stage: str, waiting_on: str) -> dict:
    return {"Items": [item(EXPORT, stage=stage, waiting_on=waiting_on)], "Count": 1}


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
PARTITION = {"DatabaseName": "d", "TableName": "t", "PartitionInputList": [{"Values": ["x"]}]}
KEY = {"TableName": "t", "Key": {"pipeline": {"S": "p"}, "record": {"S": "r"}}}
QUERY = {"TableName": "t", "KeyConditionExpression": "a = :a", "ExpressionAttributeValues": {":a": {"S": "x"}}}
REQUEST = {name: HEAD[name] for name in ("pipeline", "table_name", "output_prefix", "output_format", "glue_job_name")}
REQUEST |= {"crawler_name": HEAD["crawler_name"], "read_percentage": 0.25}

# Per service: the event, what AWS answers, and the same calls for the bare handler.
CASES = {
    "start_export": (
        {"id": "1", "detail": REQUEST},
        {
            "GetItem": {"Item": item(HEAD, table_role_arn=ROLE)},
            "Query": {"Items": []},
            "AssumeRole": SESSION,
            "DescribeTable": {"Table": TABLE},
            "DescribeContinuousBackups": {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED"}},
            "StartJobRun": {"JobRunId": "jr_1"},
        },
        [
            ("dynamodb", "get_item", KEY),
            ("dynamodb", "query", QUERY),
            ("dynamodb", "transact_write_items", {"TransactItems": [{"Delete": KEY}]}),
            ("sts", "assume_role", {"RoleArn": ROLE, "RoleSessionName": "e1"}),
            ("dynamodb", "describe_table", {"TableName": "t"}),
            ("dynamodb", "describe_continuous_backups", {"TableName": "t"}),
            ("dynamodb", "update_item", KEY),
            ("glue", "start_job_run", {"JobName": "j"}),
            ("dynamodb", "update_item", KEY),
        ],
    ),
    "on_table_exported": (
        captured("s3_object_created"),
        {
            "Query": waiting("STAGING", f"table-export/{TABLE_EXPORT}"),
            "GetObject": {"exportArn": TABLE_EXPORT},
            "GetJobRuns": {"JobRuns": []},
            "StartJobRun": {"JobRunId": "jr_1"},
        },
        [
            ("s3", "get_object", {"Bucket": "bucket", "Key": "k"}),
            ("dynamodb", "query", QUERY),
            ("glue", "get_job_runs", {"JobName": "j"}),
            ("glue", "start_job_run", {"JobName": "j"}),
            ("dynamodb", "update_item", KEY),
        ],
    ),
    "on_glue_complete": (
        captured("glue_job_succeeded"),
        {
            "Query": waiting("EXPORTING", "glue-job-run/jr_1"),
            "GetItem": HEAD_FOUND,
            "GetTable": CATALOGED,
            "StartQueryExecution": {"QueryExecutionId": "q"},
        },
        [
            ("dynamodb", "query", QUERY),
            ("s3", "get_object", {"Bucket": "bucket", "Key": "k"}),
            ("dynamodb", "get_item", KEY),
            ("glue", "get_table", {"DatabaseName": "d", "Name": "t"}),
            ("glue", "batch_create_partition", PARTITION),
            ("athena", "start_query_execution", {"QueryString": "SELECT 1"}),
            ("dynamodb", "update_item", KEY),
        ],
    ),
    "on_crawler_complete": (
        captured("glue_crawler_succeeded"),
        {
            "Query": waiting("CATALOGING", "glue-crawler/x"),
            "GetItem": HEAD_FOUND,
            "GetTable": CATALOGED,
            "GetPartitions": {"Partitions": []},
            "StartQueryExecution": {"QueryExecutionId": "q"},
        },
        [
            ("dynamodb", "query", QUERY),
            ("dynamodb", "get_item", KEY),
            ("glue", "get_table", {"DatabaseName": "d", "Name": "t"}),
            ("glue", "get_partitions", {"DatabaseName": "d", "TableName": "t"}),
            ("glue", "batch_create_partition", PARTITION),
            ("s3", "get_object", {"Bucket": "bucket", "Key": "k"}),
            ("athena", "start_query_execution", {"QueryString": "SELECT 1"}),
            ("dynamodb", "update_item", KEY),
        ],
    ),
    "on_view_complete": (
        captured("athena_query_succeeded"),
        {"Query": waiting("PUBLISHING", "athena-query/q")},
        [
            ("dynamodb", "query", QUERY),
            ("dynamodb", "transact_write_items", {"TransactItems": [{"Delete": KEY}]}),
        ],
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
        [("events", "put_events", {"Entries": [{"Source": "s", "DetailType": "d", "Detail": "{}"}]})],
    ),
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
calls = json.loads(sys.argv[2])
clients = {service: boto3.client(service) for service in {call[0] for call in calls}}
for service, operation, request in calls:
    getattr(clients[service], operation)(**request)
print(json.dumps({"handled": event.get("id")}))
"""


def answering(answers: dict) -> ThreadingHTTPServer:
    """AWS, as far as one event goes: each operation has its answer, all others an empty one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            operation = self.headers.get("X-Amz-Target", "").partition(".")[2]
            if not operation and b"Action=AssumeRole" in body:
                operation = "AssumeRole"
            self._send(answers.get(operation, {}))

        def do_GET(self) -> None:
            self._send(answers.get("GetObject", PROOF))

        def _send(self, answer: dict | str) -> None:
            self.server.answered += 1
            body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answered = 0
    server.handle_error = lambda *_: None  # a process that ends hangs up
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def run_once(
    code: str, arguments: list[str], path: list[str], server: ThreadingHTTPServer, calls: int
) -> tuple[float, float]:
    """(CPU seconds, MiB at the peak) of one fresh process, which must make so many calls."""
    server.answered = 0
    environment = {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "_X_AMZN_TRACE_ID": "Root=1-6741a0c7-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1",
        "LAMBDA_TASK_ROOT": "/var/task",  # so that Powertools traces, as on Lambda
        "POWERTOOLS_SERVICE_NAME": "benchmark",
        "POWERTOOLS_METRICS_NAMESPACE": "table-exports",
        "STATE_TABLE": "t",
        "HISTORY_DAYS": "90",
        "BUS": "b",
        "DATABASE": "d",
        "WORKGROUP": "w",
    }
    command = [INTERPRETER, "-P", "-c", code, *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    if ran.returncode or server.answered != calls:
        raise SystemExit(f"{server.answered} calls of {calls}\n{ran.stdout}{ran.stderr}")
    cpu, memory = json.loads(ran.stderr.splitlines()[-1])
    return cpu, memory


def unpacked(folder: Path, compiled: bool) -> Path:
    """The layer and all services, as Lambda unpacks them."""
    for name in ("layer", *CASES):
        zipfile.ZipFile(ROOT / f"build/{name}.zip").extractall(folder)
    if compiled:
        subprocess.run([INTERPRETER, "-m", "compileall", "-q", folder / "python"], check=True)
    return folder


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--runs", type=int, default=15)
    runs = options.parse_args().runs
    print(f"medians of {runs:<6}{'CPU seconds':>22}{'of bare':>24}{'MiB':>12}{'of bare':>11}")
    print(f"{'':16}{'bare':>8}{'source':>10}{'compiled':>10}{'source':>10}{'compiled':>10}{'source':>10}{'source':>10}")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        source, compiled = unpacked(Path(one), compiled=False), unpacked(Path(other), compiled=True)
        for service, (event, answers, calls) in CASES.items():
            server = answering(answers)
            ours = MEASURE.replace("{handle}", SERVICE.replace("{service}", service))
            bare = MEASURE.replace("{handle}", BARE)
            measured = {"bare": [], "source": [], "compiled": []}
            for n in range(runs + 1):
                once = {
                    "bare": run_once(bare, [json.dumps(event), json.dumps(calls)], [], server, len(calls)),
                    "source": run_once(
                        ours, [json.dumps(event)], [str(source), f"{source}/python"], server, len(calls)
                    ),
                    "compiled": run_once(
                        ours, [json.dumps(event)], [str(compiled), f"{compiled}/python"], server, len(calls)
                    ),
                }
                if n:  # the first warms the disk's cache
                    for kind, figures in once.items():
                        measured[kind].append(figures)
            cpu = {kind: statistics.median(figure[0] for figure in figures) for kind, figures in measured.items()}
            memory = {kind: statistics.median(figure[1] for figure in figures) for kind, figures in measured.items()}
            print(
                f"{service:20}{cpu['bare']:4.3f}{cpu['source']:9.3f}{cpu['compiled']:9.3f}"
                f"{cpu['source'] / cpu['bare']:10.2f}{cpu['compiled'] / cpu['bare']:10.2f}"
                f"{memory['source']:11.1f}{memory['source'] / memory['bare']:10.2f}"
            )


if __name__ == "__main__":
    main()
