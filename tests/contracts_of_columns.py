"""Column contracts, stored as a deployment stores them."""

import hashlib
from typing import Any

from table_export_job.contract import dump, problems


def store_contract(s3: Any, bucket: str, columns: dict[str, Any]) -> str:
    """Returns the URI."""
    assert list(problems(columns)) == []
    content = dump(columns)
    key = f"artifacts/columns/{hashlib.sha256(content).hexdigest()}.json"
    s3.put_object(Bucket=bucket, Key=key, Body=content)
    return f"s3://{bucket}/{key}"
