"""The error that ends a run: its reason, and whether another run could succeed."""

import pytest
from botocore.exceptions import ClientError

from table_export_job.errors import ExportFailed, PermanentError, run_error


@pytest.mark.parametrize(
    "wrap", [str, "Job aborted: Traceback (most recent call last):\n  File x\nbotocore.X: {}\n\n\tat org.apache".format]
)
def test_a_refusal_by_aws_says_what_to_do_wherever_it_happened(wrap):
    answer = {
        "Error": {"Code": "AccessDeniedException", "Message": "User x is not authorized to perform: dynamodb:Scan"}
    }
    error = RuntimeError(wrap(ClientError(answer, "Scan")))

    assert str(run_error(error, "Reviews")) == (
        "Permanent error: Scan failed with AccessDeniedException: User x is not authorized to perform: dynamodb:Scan. "
        "Allow this action in the job's role."
    )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(KeyError("Table"), "KeyError: 'Table'", id="in the driver"),
        pytest.param(
            RuntimeError(
                "An error occurred while calling o1.save.\n: org.apache.spark.SparkException: Job aborted.\n\tat X\n"
                "Caused by: org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
                '  File "export_table.py", line 1\nOSError: no space left\n\n\tat Y\n'
            ),
            "OSError: no space left",
            id="in an executor's Python",
        ),
        pytest.param(
            RuntimeError(
                "An error occurred while calling o1.save.\n: org.apache.spark.SparkException: Job aborted.\n\tat X\n"
                "Caused by: java.nio.file.AccessDeniedException: s3://bucket/x: Access Denied\n\tat Z\n"
            ),
            "java.nio.file.AccessDeniedException: s3://bucket/x: Access Denied",
            id="in the JVM",
        ),
    ],
)
def test_any_other_error_is_told_by_its_root_cause(error, message):
    assert str(run_error(error, "Reviews")) == message


SPARK = "An error occurred while calling o1.collect.\n: org.apache.spark.SparkException: Job aborted.\n\tat X\n"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(
            RuntimeError(
                f"{SPARK}Caused by: org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)\n"
                "\tat Y\nCaused by: java.io.EOFException\n\tat Z\n"
            ),
            "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)",
            id="the system ended an executor's Python",
        ),
        pytest.param(
            RuntimeError(f"{SPARK}Traceback (most recent call last):\n  File x\nMemoryError\n\n\tat Y\n"),
            "MemoryError",
            id="Python in an executor",
        ),
        pytest.param(
            RuntimeError(f"{SPARK}pyarrow.lib.ArrowMemoryError: malloc of size 1 failed\n\n\tat Y\n"),
            "pyarrow.lib.ArrowMemoryError: malloc of size 1 failed",
            id="Arrow in an executor",
        ),
        pytest.param(MemoryError(), "MemoryError", id="the driver"),
    ],
)
def test_a_run_that_had_too_little_memory_says_what_to_change(error, reason):
    assert str(run_error(error, "Reviews")) == (
        f"{reason}. The usual reason is too little memory: set WorkerType to R.1X, or to a larger R type, then resume "
        "the export."
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ResourceNotFoundException", PermanentError),
        ("AccessDenied", PermanentError),
        ("AccessDeniedException", PermanentError),
        ("NoSuchBucket", PermanentError),
        ("NoSuchKey", ExportFailed),
        ("UnrecognizedClientException", ExportFailed),
        ("ProvisionedThroughputExceededException", ExportFailed),
        ("InternalServerError", ExportFailed),
    ],
)
def test_what_another_run_cannot_change_is_permanent(code, kind):
    error = ClientError({"Error": {"Code": code, "Message": "No"}}, "Scan")

    assert type(run_error(error, "Reviews")) is kind
    assert type(run_error(RuntimeError(f"Job aborted: {error}"), "Reviews")) is kind


@pytest.mark.parametrize("error", [MemoryError("no more"), KeyError("Table"), RuntimeError("Python worker exited")])
def test_errors_that_are_not_known_are_transient(error):
    assert type(run_error(error, "Reviews")) is ExportFailed


@pytest.mark.parametrize("error", [ExportFailed("Half a snapshot"), PermanentError("Another format")])
def test_errors_of_the_job_itself_keep_kind_and_message_wherever_they_happened(error):
    text = f"Job aborted: Traceback (most recent call last):\ntable_export_job.errors.{type(error).__name__}: {error}\n"

    for each in (error, RuntimeError(text)):
        found = run_error(each, "Reviews")
        assert (type(found), str(found)) == (type(error), str(error))
