"""Which snapshots the next export deletes because a deployment lowers KeepSnapshots."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy.account import Account
from infra.deploy.tables_file import COMMON_STACK
from table_exports.aws.records import Records
from table_exports.aws.snapshots import Snapshots
from table_exports.domain import retention
from table_exports.domain.errors import InvalidRecord
from table_exports_cli.problems import in_words

NAME = "KeepSnapshots"
NEXT = "9999-12-31T00-00-00Z"  # later than every snapshot


def is_lowered(before: str, after: str) -> bool:
    """Returns whether fewer snapshots are kept. 0 keeps all."""
    return int(after) != 0 and (int(before) == 0 or int(after) < int(before))


def warning(account: Account, stack: dict[str, Any], before: str, after: str, database: str) -> str:
    """Returns what the lower value of a table stack deletes."""
    lowered = f"{stack['StackName']}: {NAME} is lowered from {before} to {after}"
    try:
        snapshots = superseded(account, stack, int(after), database)
    except (BotoCoreError, ClientError) as error:
        return f"{lowered}. Which snapshots the next export deletes is unknown: {in_words(error)}"
    except InvalidRecord as error:
        return f"{lowered}. Which snapshots the next export deletes is unknown: {error}"
    if not snapshots:
        return f"{lowered}. At the moment, it would delete no snapshot"
    return f"{lowered}. The next successful export deletes {described(snapshots)}"


def superseded(account: Account, stack: dict[str, Any], keep: int, database: str) -> list[str]:
    """Returns the existing snapshots that are not kept after one more was published, the oldest first."""
    [name] = [each["OutputValue"] for each in stack.get("Outputs", []) if each["OutputKey"] == "Pipeline"] or [""]
    pipeline = Records(account.client("dynamodb"), COMMON_STACK).pipeline(name) if name else None
    if pipeline is None or pipeline.published_snapshot is None:
        return []
    existing = Snapshots(account.client("s3"), account.client("glue"), database).of(pipeline)
    before = tuple(sorted(pipeline.published))
    after = replace(pipeline, keep_snapshots=keep, published_snapshot=NEXT, published_snapshots=(*before, NEXT))
    return retention.superseded(existing, after)


def described(snapshots: Sequence[str]) -> str:
    if len(snapshots) == 1:
        return f"the snapshot {snapshots[0]}"
    return f"{len(snapshots)} snapshots, from {snapshots[0]} to {snapshots[-1]}"
