"""The stand-in for Spark does to partitions, tasks and errors what Spark does."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.local_spark.pyspark.sql import SparkSession, TaskError

FOLDER = Path(__file__).parents[1] / "local_spark"


@pytest.fixture
def context():
    return SparkSession.builder.appName("a test").getOrCreate().sparkContext


@pytest.mark.parametrize(
    ("count", "slices", "partitions"),
    [(5, 2, [[0, 1], [2, 3, 4]]), (4, 4, [[0], [1], [2], [3]]), (1, 2, [[], [0]]), (0, 1, [[]])],
)
def test_data_is_divided_as_spark_divides_it(context, count, slices, partitions):
    assert context.parallelize(range(count), slices).mapPartitions(lambda rows: [list(rows)]).collect() == partitions


def test_each_row_is_mapped_in_order(context):
    rows = context.parallelize("abc", context.defaultParallelism)

    assert rows.map(str.upper).map(lambda letter: letter * 2).collect() == ["AA", "BB", "CC"]


def test_a_task_changes_only_its_own_copy(context):
    changed = []

    assert context.parallelize(range(2)).map(lambda row: changed.append(row) or len(changed)).collect() == [1, 1]
    assert changed == []


def test_a_task_that_cannot_be_sent_fails(context):
    lock = threading.Lock()

    with pytest.raises(TypeError, match="cannot pickle"):
        context.parallelize(range(2)).map(lambda row: lock.locked()).collect()


def test_a_result_that_cannot_be_sent_fails(context):
    with pytest.raises(TaskError, match="cannot pickle"):
        context.parallelize(range(2)).map(lambda row: threading.Lock()).collect()


def test_the_error_of_a_task_arrives_as_text(context):
    with pytest.raises(TaskError, match=r"(?s)^Job aborted .*Traceback .*\nZeroDivisionError: .* by zero\n$"):
        context.parallelize(range(2)).map(lambda row: 1 // row).collect()


SCRIPT = """
from awsglue.utils import getResolvedOptions
from pyspark.sql import SparkSession

context = SparkSession.builder.appName("a test").getOrCreate().sparkContext
sums = context.parallelize(range(4), 2).mapPartitions(lambda rows: [sum(rows)]).collect()
print(type(context).__name__, sums, getResolvedOptions(["script", "--name", "value"], ["name"])["name"])
"""


def test_a_script_finds_it_before_pyspark_if_its_folder_comes_first_on_the_path():
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"PYTHONPATH": str(FOLDER)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (ran.stdout, ran.stderr) == ("LocalContext [1, 5] value\n", "")
