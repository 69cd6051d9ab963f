"""What can be wrong with an input, a request to AWS, or a check of ours. Bugs are other exceptions."""


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


class PermanentError(Exception):
    """AWS refused a step, or a check of ours failed, and a retry would not change that."""


class RetryableError(Exception):
    """AWS is busy. Nothing was started, and a later try may succeed."""
