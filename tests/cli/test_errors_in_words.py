"""Errors of AWS and its SDK say what to do."""

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError, ProfileNotFound, SSOTokenLoadError

from table_exports_cli.problems import in_words


def answer(code, message="", operation="CreateChangeSet"):
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (NoCredentialsError(), "sign in (`aws sso login`, `aws configure`), or pass --profile"),
        (NoRegionError(), "pass --region"),
        (ProfileNotFound(profile="p"), "`aws configure list-profiles` lists all profiles"),
        (SSOTokenLoadError(error_msg="it has expired"), "sign in again"),
        (answer("ExpiredToken"), "sign in again"),
        (answer("InvalidClientTokenId"), "AWS does not know these credentials"),
        (
            answer(
                "AccessDenied", "User: x is not authorized to perform: cloudformation:CreateChangeSet on resource: y"
            ),
            "you need cloudformation:CreateChangeSet",
        ),
        (answer("403", "Forbidden", "HeadBucket"), "you need s3:ListBucket"),
        (answer("AccessDenied", "Access Denied", "PutObject"), "you need the right to PutObject"),
        (answer("ValidationError", "Template too long"), "CreateChangeSet: Template too long (ValidationError)"),
    ],
)
def test_it_says_what_to_do(error, remedy):
    assert remedy in in_words(error)
