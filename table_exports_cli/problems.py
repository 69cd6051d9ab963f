"""Errors of the command line: one line that says what to do, and an exit code for scripts."""

import re

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, ProfileNotFound

OK, NEEDS_ATTENTION, USAGE, NOT_FOUND, AWS_ERROR = range(5)  # 2 is Typer's own for a wrong option
INTERRUPTED = 130  # Typer's own for ctrl-C

OF_ACTION = {"HeadBucket": "s3:ListBucket", "GetCallerIdentity": "sts:GetCallerIdentity"}
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
UNKNOWN = ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch")
DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")


class CommandError(Exception):
    """A command cannot continue. The message says why and what to do."""

    def __init__(self, message: str, code: int = NEEDS_ATTENTION) -> None:
        super().__init__(message)
        self.code = code


def in_words(error: BotoCoreError | ClientError) -> str:
    """Return the message of AWS or its SDK, and what to do about it."""
    if isinstance(error, ClientError):
        return answer_in_words(error)
    if isinstance(error, NoRegionError):
        return "No Region is set: pass --region, or set AWS_REGION"
    if isinstance(error, NoCredentialsError):
        return "No AWS credentials found: sign in (`aws sso login`, `aws configure`), or pass --profile"
    if isinstance(error, ProfileNotFound):
        return f"{error}: `aws configure list-profiles` lists all profiles"
    if "Token" in type(error).__name__ or "SSO" in type(error).__name__ or "Login" in type(error).__name__:
        return f"{error}: the session has expired, sign in again (`aws sso login`)"
    return str(error)


def answer_in_words(error: ClientError) -> str:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code in EXPIRED:
        return "The credentials have expired: sign in again"
    if code in UNKNOWN:
        return f"AWS does not know these credentials ({code}): sign in again, or pass --profile"
    if code in DENIED:
        return f"Access denied: you need {action(error, message)}. AWS says: {message}"
    return f"{error.operation_name}: {message} ({code})"


def action(error: ClientError, message: str) -> str:
    named = re.search(r"perform: ([\w-]+:\w+)", message)
    return named[1] if named else OF_ACTION.get(error.operation_name, f"the right to {error.operation_name}")
