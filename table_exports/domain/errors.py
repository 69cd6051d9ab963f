"""What can be wrong with an input, a request to AWS, or a check of ours. Bugs are other exceptions."""

from typing import Any

from table_exports.domain.stages import Stage


class Invalid(Exception):
    """An invalid input. The message names the field and the remedy."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class InvalidRequest(Invalid):
    """A request that can never be met."""


class InvalidEvent(Invalid):
    """An event that is not as its sender documents it."""


class InvalidRecord(Exception):
    """A state record that cannot be parsed, for example because someone edited it."""

    def __init__(self, pipeline: str, record: str, attribute: str, problem: str, item: dict[str, Any]) -> None:
        super().__init__(f"The record {record} of {pipeline} is invalid: {attribute} {problem}")
        self.pipeline = pipeline
        self.record = record
        self.attribute = attribute
        self.problem = problem
        self.item = item  # its attributes

    @property
    def export_id(self) -> str | None:
        """The export's id, from the sort key, which nobody can edit. None for the head of a pipeline."""
        return self.record.rpartition("#")[2] if self.record.startswith("export#") else None

    @property
    def has_ended(self) -> bool:
        """Whether the export has ended and waits for nothing, so that there is nothing to cancel."""
        return self.item.get("stage") in (Stage.SUCCEEDED, Stage.FAILED) and "waiting_on" not in self.item

    @property
    def remedy(self) -> str:
        """What restores the pipeline."""
        if self.export_id and self.has_ended:
            return "correct the attribute in the table table-exports, or delete the record: the export has ended"
        if self.export_id:
            return f"table-exports cancel {self.export_id}, or correct the attribute in the table table-exports"
        return (
            "delete its table stack, then run make deploy: data and records stay. "
            "Or correct the attribute in the table table-exports"
        )


class PermanentError(Exception):
    """AWS refused a step, or a check of ours failed, and a retry would not change that."""


class FinalError(PermanentError):
    """A resumed export could only fail again. The message says what must change."""


class RetryableError(Exception):
    """AWS is busy. Nothing was started, and a later try may succeed."""
