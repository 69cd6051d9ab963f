"""A cloud of a few lines: what a service asked of AWS, and answers that a test can set."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from botocore.exceptions import ClientError
from examples import ACCOUNT, REGION, a_manifest, a_pipeline, a_table

from table_exports.aws.record_items import typed
from table_exports.aws.records import Records
from table_exports.aws.stacks import ResourceOperation
from table_exports.domain.aws_events import (
    Completion,
    CrawlEnded,
    JobRunEnded,
    QueryEnded,
    SummaryWritten,
    TableExportFailed,
)
from table_exports.domain.errors import FinalError, PermanentError, RetryableError
from table_exports.domain.export import Export
from table_exports.domain.manifest import Manifest
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.public_events import PublicEvent
from table_exports.domain.reading import Table
from table_exports.domain.request import ResumeRequest

TABLE_EXPORT = "arn:aws:dynamodb:us-east-1:123456789012:table/Reviews/export/01795399210000-06e2188f"


@dataclass
class FakeGlue:
    started: list[Export] = field(default_factory=list)
    crawled: list[Export] = field(default_factory=list)
    another_crawl_runs: bool = False
    schema_is_known: bool = False
    cataloged: list[str] = field(default_factory=list)  # what was done to the catalog, in order
    refuses: str | None = None
    names_taken: str | None = None
    names_checked: list[str] = field(default_factory=list)
    view_taken: str | None = None
    job_gone: bool = False
    busy: str | None = None
    ends: dict[str, JobRunEnded] = field(default_factory=dict)  # of job runs, by id
    crawl: CrawlEnded | None = None  # the last that ended, if none runs
    stopped: list[str] = field(default_factory=list)
    queued: str | None = None  # why the job run waits in Glue's queue
    lake_formation: str | None = None  # why it denies the database
    shown: dict[str, str] = field(default_factory=dict)  # by view: its snapshot
    views_denied: bool = False

    def shown_snapshot(self, catalog_name: str) -> str | None:
        if self.views_denied:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetTable")
        return self.shown.get(catalog_name)

    def ensure_permitted(self) -> None:
        if self.lake_formation:
            raise PermanentError(self.lake_formation)

    def start_job_run(self, export: Export) -> str:
        self._refuse()
        self.started.append(export)
        return self._run_id(export)

    def find_job_run(self, export: Export) -> str | None:
        self._refuse()
        wanted = self._run_id(export)
        return wanted if wanted in map(self._run_id, self.started) else None

    def job_run_end(self, export: Export, run_id: str) -> JobRunEnded | None:
        self._refuse()
        return self.ends.get(run_id)

    def job_is_gone(self, export: Export) -> bool:
        return self.job_gone

    def is_stopping(self, export: Export, run_id: str) -> bool:
        return run_id in self.stopped and run_id not in self.ends

    def why_queued(self, export: Export, run_id: str) -> str | None:
        return self.queued

    def stop_job_run(self, export: Export, run_id: str) -> None:
        self.stopped.append(run_id)

    def is_crawling(self, export: Export) -> bool:
        return self.another_crawl_runs

    def start_crawler(self, export: Export) -> bool:
        """As Glue: while a crawl runs, and be it this export's own, there is no other."""
        self._refuse()
        if self.another_crawl_runs:
            return False
        self.another_crawl_runs = True
        self.crawled.append(export)
        return True

    def crawl_end(self, export: Export, now: datetime) -> CrawlEnded | None:
        return self.crawl

    def stop_crawler(self, export: Export) -> None:
        self.stopped.append(export.crawler_name)

    def has_schema(self, export: Export, manifest: Manifest) -> bool:
        self._refuse()
        return self.schema_is_known

    def ensure_own_names(self, export: Export) -> None:
        if self.names_taken:
            raise PermanentError(self.names_taken)
        self.names_checked.append(export.catalog_name)

    def ensure_own_names_of_entities(self, export: Export, entities: Sequence[Export]) -> None:
        for entity in entities:
            self.ensure_own_names(entity)

    def ensure_own_view(self, export: Export) -> None:
        if self.view_taken:
            raise PermanentError(self.view_taken)

    def prepare_crawl(self, export: Export, manifest: Manifest) -> None:
        self.cataloged.append("columns before the crawl")

    def ensure_cataloged(self, export: Export, manifest: Manifest, published: str | None) -> None:
        self._refuse()
        self.cataloged.append(f"table {export.snapshot_table}")

    def ensure_table(self, export: Export, manifest: Manifest) -> None:
        self._refuse()
        self.cataloged.append("table")

    def correct_partitions(self, export: Export, manifest: Manifest, published: str | None) -> None:
        self.cataloged.append("partitions of before")

    def ensure_partition(self, export: Export, manifest: Manifest) -> None:
        self.cataloged.append(f"partition {export.snapshot_timestamp}")

    def _refuse(self) -> None:
        if self.refuses:
            raise PermanentError(self.refuses)
        if self.busy:
            raise RetryableError(self.busy)

    @staticmethod
    def _run_id(export: Export) -> str:
        return f"jr_of_{export.export_id}" + (f"_{export.attempt}" if export.attempt > 1 else "")


@dataclass
class FakeTables:
    table: Table = field(default_factory=a_table)
    described: list[str] = field(default_factory=list)
    exported: list[str] = field(default_factory=list)
    end: SummaryWritten | TableExportFailed | None = None
    refuses: str | None = None

    def describe(self, export: Export, role_arn: str) -> Table:
        if self.refuses:
            raise PermanentError(self.refuses)
        self.described.append(export.export_id)
        return self.table

    def start_export(self, export: Export, role_arn: str) -> str:
        """The same for the same export, as the token makes it."""
        assert role_arn == a_pipeline().table_role_arn
        self.exported.append(export.export_id)
        return TABLE_EXPORT

    def export_end(self, export: Export, arn: str, role_arn: str) -> SummaryWritten | TableExportFailed | None:
        assert (arn, role_arn) == (TABLE_EXPORT, a_pipeline().table_role_arn)
        return self.end


@dataclass
class FakeSummaries:
    arn: str | None = TABLE_EXPORT

    def arn_in(self, uri: str) -> str | None:
        return self.arn


@dataclass
class FakeAthena:
    published: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    busy: str | None = None
    end: QueryEnded | None = None
    ends: dict[str, QueryEnded] = field(default_factory=dict)  # by query, where `end` is not meant for all
    stopped: list[str] = field(default_factory=list)
    too_large: str | None = None  # a view

    def view_statement(self, export: Export, manifest: Manifest) -> str:
        if export.catalog_name == self.too_large:
            raise FinalError(f"View {export.catalog_name} cannot be created: it is too large")
        return ""

    def create_view(self, export: Export, manifest: Manifest) -> str:
        if self.busy:
            raise RetryableError(self.busy)
        self.published.append((export.snapshot_timestamp, manifest.view_columns))
        view = "" if export.catalog_name == "reviews" else f"{export.catalog_name}-"
        return f"{view}query-of-{export.export_id}" + (f"-{export.attempt}" if export.attempt > 1 else "")

    def query_end(self, query_id: str) -> QueryEnded | None:
        return self.ends.get(query_id, self.end)

    def stop_query(self, query_id: str) -> None:
        self.stopped.append(query_id)


@dataclass
class FakeManifests:
    refuses: str | None = None
    manifest: Manifest = field(default_factory=a_manifest)

    def proof_of(self, export: Export) -> Manifest:
        if self.refuses:
            raise PermanentError(self.refuses)
        return self.manifest


@dataclass
class FakeBus:
    events: list[PublicEvent] = field(default_factory=list)
    republished: list[Completion | ResumeRequest] = field(default_factory=list)

    def publish(self, events: list[PublicEvent]) -> None:
        self.events += events

    def republish_missing(self, completions: list[Completion | ResumeRequest]) -> None:
        self.republished += completions


@dataclass
class FakeSnapshots:
    there: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)
    refuses: Exception | None = None

    def of(self, pipeline: Pipeline) -> set[str]:
        if self.refuses:
            raise self.refuses
        return set(self.there)

    def remove(self, pipeline: Pipeline, snapshot: str) -> int:
        self.there.remove(snapshot)
        self.removed.append(snapshot)
        return 1


@dataclass
class FakeStacks:
    gone: set[str] = field(default_factory=set)
    operations: dict[tuple[str, str], list[ResourceOperation]] = field(default_factory=dict)  # the last one stays

    def operation(self, stack_id: str, logical_id: str, physical_id: str = "") -> ResourceOperation | None:
        if stack_id in self.gone:
            return None
        answers = self.operations.get((stack_id, physical_id)) or [ResourceOperation()]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def is_gone(self, stack_id: str) -> bool:
        return stack_id in self.gone


@dataclass
class FakeHeartbeat:
    beats: int = 0

    def beat(self) -> None:
        self.beats += 1


@dataclass
class FakeCloud:
    """The cloud of a service under test: its records are real, on moto."""

    records: Records
    account: str = ACCOUNT
    region: str = REGION
    bucket: str = "bucket"
    late_after: timedelta = timedelta(minutes=10)
    measures_each_pipeline: bool = True
    glue: FakeGlue = field(default_factory=FakeGlue)
    tables: FakeTables = field(default_factory=FakeTables)
    summaries: FakeSummaries = field(default_factory=FakeSummaries)
    athena: FakeAthena = field(default_factory=FakeAthena)
    manifests: FakeManifests = field(default_factory=FakeManifests)
    bus: FakeBus = field(default_factory=FakeBus)
    snapshots: FakeSnapshots = field(default_factory=FakeSnapshots)
    stacks: FakeStacks = field(default_factory=FakeStacks)
    heartbeat: FakeHeartbeat = field(default_factory=FakeHeartbeat)
    registered: Pipeline = field(default_factory=a_pipeline)

    def set_head(self, **attributes: str | tuple[str, ...]) -> None:
        """Change the pipeline's head behind everyone's back."""
        for name, value in attributes.items():
            self.records._client.update_item(
                TableName=self.records._table,
                Key={"pipeline": {"S": self.registered.pipeline}, "record": {"S": "pipeline"}},
                UpdateExpression=f"SET {name} = :value",
                ExpressionAttributeValues=typed({":value": value}),
            )

    def the_export(self, export_id: str = "e1") -> Export:
        found = self.records.find(a_pipeline().pipeline, export_id)
        assert found is not None
        return found
