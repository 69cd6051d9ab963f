"""Clients of AWS services, as the driver and the executors use them."""

from typing import Any

import boto3
from botocore.config import Config

CONNECTIONS = 16  # of one client, at most


def connect(service: str, region: str | None = None) -> Any:
    """A client that retries throttled calls for some minutes."""
    config = Config(retries={"mode": "adaptive", "max_attempts": 12}, max_pool_connections=CONNECTIONS)
    return boto3.client(service, region_name=region, config=config)
