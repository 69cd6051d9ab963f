"""The account and Region to deploy to."""

from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy import CannotDeploy
from table_exports.aws.bucket_owner import expect_owner
from table_exports_cli.problems import in_words
from table_exports_cli.system import session

RETRIES = Config(retries={"mode": "standard", "max_attempts": 12})  # CloudFormation throttles calls about many stacks


@dataclass(frozen=True)
class Account:
    session: boto3.Session
    id: str
    region: str
    who: str

    def client(self, service: str) -> Any:
        client = self.session.client(service, config=RETRIES)
        return expect_owner(client, self.id) if service == "s3" else client


def sign_in(profile: str | None, region: str | None) -> Account:
    """Returns the caller's account. Raises CannotDeploy if there are no credentials or no Region."""
    try:
        found = session(profile, region)
        identity = found.client("sts", config=RETRIES).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise CannotDeploy(in_words(error)) from error
    return Account(found, identity["Account"], found.region_name, identity["Arn"])
