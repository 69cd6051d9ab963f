"""Column contracts: the block Columns of tables.yaml, which the deployment stores for the job.

A contract is named by its SHA-256, so that what a stack refers to never changes.
"""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.deploy import CannotDeploy, artifacts
from infra.deploy.account import Account

FOLDER = "table-exports/columns"
PARAMETER = "Columns"
KEY_PARAMETER = "HashSecretArn"

sys.path.append(str(Path(__file__).parents[2] / "glue"))  # the job's own rules decide what is valid
from table_export_job import contract as rules  # noqa: E402


def problems(columns: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """Returns what is wrong with a block, each problem with its place in it."""
    return rules.problems(columns)


def is_field(name: str) -> bool:
    """Returns whether a rule can have a field of this name."""
    return name in rules.FIELDS


def needs_key(content: bytes) -> bool:
    """Returns whether the contract hashes attributes."""
    return rules.has_hash(rules.parsed(content))


def key(content: bytes) -> str:
    return f"{FOLDER}/{hashlib.sha256(content).hexdigest()}.json"


def content(columns: dict[str, Any]) -> bytes:
    return rules.dump(columns)


def store(account: Account, bucket: str, contents: set[bytes]) -> None:
    """Uploads what is missing. Raises CannotDeploy if a stored contract is not what its name says."""
    s3 = account.client("s3")
    for each in sorted(contents):
        artifacts.put(s3, bucket, key(each), each)
        if artifacts.stored_checksum(s3, bucket, key(each)) != artifacts.checksum(each):
            raise CannotDeploy(
                f"s3://{bucket}/{key(each)} was replaced: its content is not what its name says. Nothing was deployed. "
                "Find out who wrote it. Then delete it and run make deploy again:\n"
                f"aws s3api delete-object --bucket {bucket} --key {key(each)}"
            )
