"""The expected owner of buckets.

Bucket names are predictable and unique over all accounts, so a bucket of ours that was deleted can belong to someone
else by now. S3 then refuses a call that names our account.
"""

from typing import Any


def expect_owner(s3: Any, account: str) -> Any:
    """Return the client of S3, which from now on names the account as the owner of the bucket in each call."""

    def add(params: dict[str, Any], model: Any, **_: Any) -> None:
        if "ExpectedBucketOwner" in model.input_shape.members:
            params.setdefault("ExpectedBucketOwner", account)
        if "ExpectedSourceBucketOwner" in model.input_shape.members:
            params.setdefault("ExpectedSourceBucketOwner", account)

    s3.meta.events.register("provide-client-params.s3", add)
    return s3
