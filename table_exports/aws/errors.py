"""What AWS's errors mean: "never", or "not now". All others rise: Lambda tries again, then a queue keeps the event."""

from collections.abc import Iterator, Set
from contextlib import contextmanager

from botocore.exceptions import ClientError, ParamValidationError

from table_exports.domain.errors import Busy, Refused
from table_exports.domain.foreign import words

FINAL = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "EntityNotFoundException",
        "InvalidInputException",
        "InvalidRequestException",
    }
)
NOT_NOW = frozenset(
    {
        "ConcurrentRunsExceededException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ResourceNumberLimitExceededException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


@contextmanager
def aws_may_refuse(what: str, final: Set[str] = FINAL) -> Iterator[None]:
    """Turn an error that another try would not mend into Refused, and a "not now" into Busy, in AWS's own words."""
    try:
        yield
    except ParamValidationError as error:
        raise Refused(f"{what}: {words(str(error), 'no message')}") from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in final and code not in NOT_NOW:
            raise
        kind = Refused if code in final else Busy
        raise kind(f"{what}: {code}: {words(error.response['Error'].get('Message'), 'no message')}") from error
