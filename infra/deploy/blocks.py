"""The blocks Columns and Entities of tables.yaml, which the deployment stores for the job.

An object is named by its SHA-256, so that what a stack refers to never changes.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.deploy import CannotDeploy, artifacts
from infra.deploy.account import Account

COLUMNS = "Columns"  # also the parameter of the table stack that has the location
ENTITIES = "Entities"
KEY_PARAMETER = "HashSecretArn"

sys.path.append(str(Path(__file__).parents[2] / "glue"))  # the job's own rules decide what is valid
from table_export_job import continuity, contract, entities  # noqa: E402

RULES = {COLUMNS: contract, ENTITIES: entities}

Problem = tuple[tuple[str, ...], str]  # its place in the block, and what is wrong


def problems_of_columns(columns: Any) -> Iterator[Problem]:
    return contract.problems(columns)


def problems_of_entities(block: Any, columns: dict[str, Any], catalog_name: str) -> Iterator[Problem]:
    return entities.problems(block, columns, catalog_name)


def problems_of_published_entities(content: bytes | None, manifest: bytes, catalog_name: str) -> Iterator[Problem]:
    """Yields what a valid stored block, or none, would no longer publish. Nothing if the manifest cannot be read."""
    try:
        published = continuity.Published.of(json.loads(manifest))
    except (ValueError, LookupError, TypeError, AttributeError):  # the job names the manifest, with the remedy
        return
    block = None if content is None else entities.parsed(content)
    yield from continuity.problems(block, published, catalog_name)


def is_field_of_columns(name: str) -> bool:
    """Returns whether a rule can have a field of this name."""
    return name in contract.FIELDS


def needs_key(columns: dict[str, Any]) -> bool:
    """Returns whether the contract hashes attributes."""
    return contract.has_hash(columns)


def content(parameter: str, block: dict[str, Any]) -> bytes:
    return RULES[parameter].dump(block)


def key(parameter: str, content: bytes) -> str:
    return f"table-exports/{parameter.lower()}/{hashlib.sha256(content).hexdigest()}.json"


def is_stored_as(location: str, parameter: str, content: bytes | None) -> bool:
    """Returns whether the parameter of a stack names this block, or none, in whatever bucket."""
    return location.endswith(f"/{key(parameter, content)}") if content is not None else location == ""


def store(account: Account, bucket: str, contents: set[tuple[str, bytes]]) -> None:
    """Uploads what is missing, each block with its parameter.

    Raises CannotDeploy if a stored block is not what its name says.
    """
    s3 = account.client("s3")
    for parameter, each in sorted(contents):
        name = key(parameter, each)
        artifacts.put(s3, bucket, name, each)
        if artifacts.stored_checksum(s3, bucket, name) != artifacts.checksum(each):
            raise CannotDeploy(
                f"s3://{bucket}/{name} was replaced: its content is not what its name says. Nothing was deployed. "
                "Find out who wrote it. Then delete it and run make deploy again:\n"
                f"aws s3api delete-object --bucket {bucket} --key {name}"
            )


def parameters(bucket: str, contents: Mapping[str, bytes]) -> dict[str, str]:
    """Returns the parameters that name the stored blocks of a stack."""
    return {parameter: f"{bucket}/{key(parameter, each)}" for parameter, each in contents.items()}
