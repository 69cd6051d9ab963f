"""The job writes, and on_glue_complete reads, whether a run failed permanently. They share no code, but one marker."""

from table_export_job.errors import ExportFailed, PermanentError
from table_exports.domain.aws_events import JobRunEnded


def a_run_that_ended_with(error):
    return JobRunEnded(job_name="a-job", run_id="jr_1", state="FAILED", message=f"{type(error).__name__}: {error}")


def test_a_permanent_error_of_the_job_is_one_for_the_service():
    assert a_run_that_ended_with(PermanentError("Another format")).failed_permanently
    assert not a_run_that_ended_with(ExportFailed("Half a snapshot")).failed_permanently
