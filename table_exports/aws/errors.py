"""Which errors of AWS are permanent, and which are retryable.

Any other error is raised as it is: Lambda retries the event, then a queue keeps it.
"""

from collections.abc import Iterator, Set
from contextlib import contextmanager

from botocore.exceptions import ClientError, ParamValidationError

from table_exports.domain.errors import PermanentError, RetryableError
from table_exports.domain.foreign import text_or_default

PERMANENT_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "EntityNotFoundException",
        "InvalidInputException",
        "InvalidRequestException",
    }
)
RETRYABLE_CODES = frozenset(
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
def translate_errors(what: str, permanent: Set[str] = PERMANENT_CODES) -> Iterator[None]:
    """Turn AWS's errors into PermanentError and RetryableError, with AWS's own message after `what`."""
    try:
        yield
    except ParamValidationError as error:
        raise PermanentError(f"{what}: {text_or_default(str(error), 'no message')}") from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in permanent and code not in RETRYABLE_CODES:
            raise
        kind = PermanentError if code in permanent else RetryableError
        raise kind(
            f"{what}: {code}: {text_or_default(error.response['Error'].get('Message'), 'no message')}"
        ) from error
