"""The memory of what works through all partitions of a table, which add up for years."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MB = 1_000_000
TESTS = Path(__file__).parents[1]
PARTITIONS, COLUMNS = 10_000, 200

PROGRAM = """
import json, resource, sys
from botocore.awsrequest import AWSResponse
from botocore.session import Session
from examples import a_manifest, an_export, a_pipeline
from table_exports.aws.glue import Glue
from table_exports.aws.snapshots import Snapshots
from table_exports.domain import catalog

partitions, columns = map(int, sys.argv[1:3])
manifest = a_manifest(*((f"attribute_{n:03}", "decimal(38,2)") for n in range(columns)))
inferred = a_manifest(*((f"attribute_{n:03}", "double") for n in range(columns)))
right, wrong = (catalog.partition_input(an_export(), each, "TIMESTAMP", None) for each in (manifest, inferred))
calls, updated = [], set()

class Body:
    def __init__(self, text):
        self.text = text
    def stream(self, **_):
        yield self.text.encode()
    def read(self):
        return self.text.encode()

def described(n, asked):
    partition = right if n % 10 else wrong
    if asked.get("ExcludeColumnSchema"):
        partition = partition | {"StorageDescriptor": partition["StorageDescriptor"] | {"Columns": []}}
    return json.dumps(partition).replace("TIMESTAMP", f"snapshot-{n}")

def answer(request, **_):
    operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
    asked = json.loads(request.body)
    calls.append(operation)
    text = "{}"
    if operation == "GetPartitions":
        start = int(asked.get("NextToken", 0))
        end = min(start + asked.get("MaxResults", 1000), partitions)
        listed = ",".join(described(n, asked) for n in range(start, end))
        more = f', "NextToken": "{end}"' if end < partitions else ""
        text = f'{{"Partitions": [{listed}]{more}}}'
    else:
        assert len(asked["Entries"]) <= 100
        for entry in asked["Entries"]:
            types = {column["Type"] for column in entry["PartitionInput"]["StorageDescriptor"]["Columns"]}
            assert types == {"decimal(38,2)"}
            updated.update(entry["PartitionValueList"])
    return AWSResponse(request.url, 200, {}, Body(text))

client = Session().create_client("glue", "us-east-1")
client.meta.events.register("before-send.glue", answer)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
start = peak()
if sys.argv[3] == "correct":
    Glue(client, lambda: client, "db").correct_partitions(an_export(), manifest, "9")
else:
    list(Snapshots(None, client, "db").partitions(a_pipeline()))
print(json.dumps({"more": peak() - start, "peak": peak(), "calls": len(calls), "updated": len(updated)}))
"""


def run(work, partitions, columns):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    environment |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    program = [sys.executable, "-c", PROGRAM, str(partitions), str(columns), work]
    return json.loads(subprocess.run(program, env=environment, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
@pytest.mark.parametrize(("work", "updated"), [("correct", PARTITIONS // 10), ("list", 0)])
def test_ten_thousand_partitions_of_two_hundred_columns_take_the_memory_of_one_page(work, updated):
    measured = run(work, PARTITIONS, COLUMNS)

    assert measured["updated"] == updated
    assert measured["more"] < 60 * MB
