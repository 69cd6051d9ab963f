"""A SparkSession that runs all tasks in the driver's process, one after another.

Functions and data are serialized as Spark does it, so a task that Spark cannot send to an executor fails here too.
"""

import pickle
import traceback
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from pyspark import cloudpickle

CORES = 2  # as many as the sandbox gives to Spark

Partition = Callable[[Iterable[Any]], Iterable[Any]]  # what a task does to its partition


class TaskError(Exception):
    """A task failed. As in Spark, the driver gets the task's error as text only."""


class LocalRDD:
    """Partitioned data, and what is to be done to each partition."""

    def __init__(self, partitions: list[list[Any]], task: Partition) -> None:
        self._partitions, self._task = partitions, task

    def map(self, function: Callable[[Any], Any]) -> "LocalRDD":
        return self.mapPartitions(lambda rows: map(function, rows))

    def mapPartitions(self, function: Partition) -> "LocalRDD":
        previous = self._task
        return LocalRDD(self._partitions, lambda rows: function(previous(rows)))

    def collect(self) -> list[Any]:
        task, results = cloudpickle.dumps(self._task), []
        for partition in self._partitions:
            results += pickle.loads(run(task, pickle.dumps(partition)))
        return results


def run(task: bytes, partition: bytes) -> bytes:
    """What an executor does: it knows of a task only what was sent."""
    try:
        return pickle.dumps(list(pickle.loads(task)(pickle.loads(partition))))
    except Exception as error:
        raise TaskError(f"Job aborted due to stage failure: {traceback.format_exc()}") from error


class LocalContext:
    defaultParallelism = CORES

    def parallelize(self, data: Iterable[Any], numSlices: int = CORES) -> LocalRDD:
        rows = list(data)
        ends = [len(rows) * number // numSlices for number in range(numSlices + 1)]
        slices = [rows[start:end] for start, end in pairwise(ends)]
        return LocalRDD(slices, lambda partition: partition)


class SparkSession:
    """The one session of the process, however often it is asked for."""

    class Builder:
        def appName(self, name: str) -> "SparkSession.Builder":
            return self

        def getOrCreate(self) -> "SparkSession":
            return SESSION

    builder = Builder()
    sparkContext = LocalContext()

    def stop(self) -> None:
        """There is nothing to stop."""


SESSION = SparkSession()
