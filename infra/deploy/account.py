"""Whose account, which Region, and AWS's errors in words that say what to do."""

import re
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, ProfileNotFound

from infra.deploy import CannotDeploy

PATIENT = Config(retries={"mode": "standard", "max_attempts": 12})  # CloudFormation throttles those who ask for many
OF_ACTION = {"HeadBucket": "s3:ListBucket", "GetCallerIdentity": "sts:GetCallerIdentity"}
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
UNKNOWN = ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch")
DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")


@dataclass(frozen=True)
class Account:
    session: boto3.Session
    id: str
    region: str
    who: str

    def client(self, service: str) -> Any:
        return self.session.client(service, config=PATIENT)


def sign_in(profile: str | None, region: str | None) -> Account:
    """Raises CannotDeploy if there are no credentials, or no Region."""
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        if session.region_name is None:
            raise NoRegionError
        identity = session.client("sts", config=PATIENT).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise CannotDeploy(in_words(error)) from error
    return Account(session, identity["Account"], session.region_name, identity["Arn"])


def in_words(error: BotoCoreError | ClientError) -> str:
    """What AWS or its SDK said, and what to do about it."""
    if isinstance(error, ClientError):
        return answer_in_words(error)
    if isinstance(error, NoRegionError):
        return "No Region is set: say --region, or set AWS_REGION"
    if isinstance(error, NoCredentialsError):
        return "There are no AWS credentials here: sign in (`aws sso login`, `aws configure`), or say --profile"
    if isinstance(error, ProfileNotFound):
        return f"{error}: `aws configure list-profiles` shows which there are"
    if "Token" in type(error).__name__ or "SSO" in type(error).__name__ or "Login" in type(error).__name__:
        return f"{error}\nThe session has expired: sign in again (`aws sso login`), then run the same command once more"
    return str(error)


def answer_in_words(error: ClientError) -> str:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code in EXPIRED:
        return "The credentials have expired: sign in again, then run the same command once more. It goes on from there"
    if code in UNKNOWN:
        return f"AWS does not know these credentials ({code}): sign in again, or say --profile"
    if code in DENIED:
        return f"Access denied: who deploys needs {action(error, message)}. AWS says: {message}"
    return f"{error.operation_name}: {message} ({code})"


def action(error: ClientError, message: str) -> str:
    named = re.search(r"perform: ([\w-]+:\w+)", message)
    return named[1] if named else OF_ACTION.get(error.operation_name, f"the right to {error.operation_name}")
