"""What the job writes and the services recognize. They share no code."""

from table_export_job.columns import COMMENT
from table_export_job.errors import ExportFailed, PermanentError
from table_exports.domain.aws_events import JobRunEnded
from table_exports.domain.catalog import OUR_COMMENT


def a_run_that_ended_with(error):
    return JobRunEnded(job_name="a-job", run_id="jr_1", state="FAILED", message=f"{type(error).__name__}: {error}")


def test_a_permanent_error_of_the_job_is_one_for_the_service():
    assert a_run_that_ended_with(PermanentError("Another format")).failed_permanently
    assert not a_run_that_ended_with(ExportFailed("Half a snapshot")).failed_permanently


def test_a_comment_of_the_job_is_one_of_ours_for_the_services():
    assert COMMENT == OUR_COMMENT
