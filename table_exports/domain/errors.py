"""What can be wrong with what we are given. Our own bugs are other exceptions."""


class Invalid(Exception):
    """Of what we are given. The message names the field and the remedy."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class InvalidRequest(Invalid):
    """A request that can never be carried out."""


class InvalidEvent(Invalid):
    """An event that is not as its sender documents it."""


class Refused(Exception):
    """AWS, or a proof of ours, refused this step for good: trying again would change nothing."""


class Busy(Exception):
    """AWS says "not now": nothing was started, and a later try may be taken."""
