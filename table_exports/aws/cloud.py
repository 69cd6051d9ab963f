"""The AWS clients of a service. Each is created when it is first used, so no service pays for those of another."""

import os
from datetime import timedelta
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.session import Session

    from table_exports.aws.athena import Athena
    from table_exports.aws.bus import Bus
    from table_exports.aws.glue import Glue
    from table_exports.aws.heartbeat import Heartbeat
    from table_exports.aws.manifests import Manifests
    from table_exports.aws.records import Records
    from table_exports.aws.snapshots import Snapshots
    from table_exports.aws.stacks import Stacks
    from table_exports.aws.tables import Summaries, Tables


class Cloud:
    @cached_property
    def account(self) -> str:
        return os.environ["ACCOUNT"]

    @cached_property
    def region(self) -> str:
        return os.environ["AWS_REGION"]

    @cached_property
    def bucket(self) -> str:
        return os.environ["BUCKET"]

    @cached_property
    def late_after(self) -> timedelta:
        """How long an export waits before the reconciler asks AWS about it."""
        return timedelta(minutes=float(os.environ["LATE_AFTER_MINUTES"]))

    @cached_property
    def measures_each_pipeline(self) -> bool:
        """Whether a successful export is measured with the name of its pipeline. CloudWatch charges for each."""
        return os.environ.get("PIPELINE_METRICS", "true") == "true"  # missing until an update has ended

    @cached_property
    def records(self) -> "Records":
        from table_exports.aws.records import Records

        return Records(_client("dynamodb"), os.environ["STATE_TABLE"], int(os.environ["HISTORY_DAYS"]))

    @cached_property
    def glue(self) -> "Glue":
        from table_exports.aws.glue import Glue

        return Glue(_client("glue"), partial(_client_without_retries, "glue"), os.environ["DATABASE"])

    @cached_property
    def tables(self) -> "Tables":
        from table_exports.aws.tables import Tables

        return Tables(_client("sts"), partial(_client, "dynamodb"))

    @cached_property
    def summaries(self) -> "Summaries":
        from table_exports.aws.tables import Summaries

        return Summaries(_client_of_own("s3", self.account))

    @cached_property
    def manifests(self) -> "Manifests":
        from table_exports.aws.manifests import Manifests

        return Manifests(_client_of_own("s3", self.account))

    @cached_property
    def athena(self) -> "Athena":
        from table_exports.aws.athena import Athena

        return Athena(_client("athena"), os.environ["WORKGROUP"], os.environ["DATABASE"])

    @cached_property
    def bus(self) -> "Bus":
        from table_exports.aws.bus import Bus

        return Bus(_client("events"), os.environ["BUS"])

    @cached_property
    def snapshots(self) -> "Snapshots":
        from table_exports.aws.snapshots import Snapshots

        return Snapshots(_client_of_own("s3", self.account), _client("glue"), os.environ["DATABASE"])

    @cached_property
    def stacks(self) -> "Stacks":
        from table_exports.aws.stacks import Stacks

        return Stacks(_client("cloudformation"))

    @cached_property
    def heartbeat(self) -> "Heartbeat":
        from table_exports.aws.heartbeat import Heartbeat

        return Heartbeat(_client("sqs"), os.environ["HEARTBEAT_QUEUE"])


@cache
def the_cloud() -> Cloud:
    """Return the one Cloud of the execution environment."""
    return Cloud()


@cache
def _session() -> "Session":
    from botocore.session import Session

    return Session()


def _client(service: str, **credentials: Any) -> "BaseClient":
    """Create a client with botocore. boto3 would do the same, but also import S3 transfers and resources."""
    return _session().create_client(service, **credentials)


def _client_of_own(service: str, account: str) -> "BaseClient":
    """Create a client of S3 that refuses buckets of other accounts."""
    from table_exports.aws.bucket_owner import expect_owner

    return expect_owner(_client(service), account)


def _client_without_retries(service: str) -> "BaseClient":
    """Create a client for calls that must not be repeated: after a timeout it is unknown whether they had an effect."""
    from botocore.config import Config

    return _session().create_client(service, config=Config(retries={"total_max_attempts": 1}))
