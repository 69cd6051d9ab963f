"""Column contracts and blocks of entities, stored as a deployment stores them."""

import hashlib
from typing import Any

from table_export_job import contract, entities


def store_contract(s3: Any, bucket: str, columns: dict[str, Any]) -> str:
    """Returns the URI."""
    assert list(contract.problems(columns)) == []
    return _store(s3, bucket, "columns", contract.dump(columns))


def store_entities(s3: Any, bucket: str, block: dict[str, Any]) -> str:
    """Returns the URI."""
    assert list(entities.problems(block)) == []
    return _store(s3, bucket, "entities", entities.dump(block))


def _store(s3: Any, bucket: str, folder: str, content: bytes) -> str:
    key = f"artifacts/{folder}/{hashlib.sha256(content).hexdigest()}.json"
    s3.put_object(Bucket=bucket, Key=key, Body=content)
    return f"s3://{bucket}/{key}"
