"""The operation that an export waits for: how it ended, and how it is stopped."""

from datetime import datetime
from typing import Protocol

from table_exports.aws.athena import Athena
from table_exports.aws.glue import Glue
from table_exports.domain.aws_events import CrawlEnded, JobRunEnded, QueryEnded
from table_exports.domain.export import Export
from table_exports.domain.stages import Stage


class Services(Protocol):
    @property
    def glue(self) -> Glue: ...
    @property
    def athena(self) -> Athena: ...


def end_of(export: Export, services: Services, now: datetime) -> JobRunEnded | CrawlEnded | QueryEnded | None:
    """Return how the operation of a stage that can be stopped ended. None if it has not."""
    match export.stage:
        case Stage.EXPORTING:
            return services.glue.job_run_end(export, export.awaited_id)
        case Stage.CATALOGING:
            return services.glue.crawl_end(export, now)
        case Stage.PUBLISHING:
            return services.athena.query_end(export.awaited_id)
    raise ValueError(f"{export.stage} has no operation that can be stopped")


def running_queries(export: Export, athena: Athena) -> list[str]:
    """Return which of the queries that were started together have not ended. A single one counts as running."""
    together = export.queries_together
    return [query for query in together if len(together) == 1 or athena.query_end(query) is None]


def stop(export: Export, services: Services) -> None:
    """Stop the operation. Its end is seen later. A crawl that someone else started is left alone."""
    match export.stage:
        case Stage.EXPORTING:
            services.glue.stop_job_run(export, export.awaited_id)
        case Stage.CATALOGING:
            services.glue.stop_crawler(export)
        case Stage.PUBLISHING:
            for query_id in running_queries(export, services.athena):
                services.athena.stop_query(query_id)
        case _:
            raise ValueError(f"{export.stage} has no operation that can be stopped")
