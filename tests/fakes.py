"""A cloud of a few lines: what a service asked of AWS, and answers that a test can set."""

from dataclasses import dataclass, field

from examples import a_manifest, a_pipeline, a_table

from table_exports.aws.records import Records
from table_exports.domain.errors import Refused
from table_exports.domain.export import Export
from table_exports.domain.facts import Fact
from table_exports.domain.manifest import Manifest
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.reading import Table

TABLE_EXPORT = "arn:aws:dynamodb:us-east-1:123456789012:table/Reviews/export/01795399210000-06e2188f"


@dataclass
class FakeGlue:
    started: list[Export] = field(default_factory=list)
    crawled: list[Export] = field(default_factory=list)
    another_crawl_runs: bool = False
    schema_is_known: bool = False
    cataloged: list[str] = field(default_factory=list)  # what was done to the catalog, in order
    refuses: str | None = None

    def start_job_run(self, export: Export) -> str:
        self._refuse()
        self.started.append(export)
        return f"jr_of_{export.export_id}"

    def find_job_run(self, export: Export) -> str | None:
        return next((f"jr_of_{run.export_id}" for run in self.started if run.export_id == export.export_id), None)

    def start_crawler(self, export: Export) -> bool:
        self._refuse()
        if not self.another_crawl_runs:
            self.crawled.append(export)
        return not self.another_crawl_runs

    def has_schema(self, export: Export, manifest: Manifest) -> bool:
        self._refuse()
        return self.schema_is_known

    def prepare_crawl(self, export: Export, manifest: Manifest) -> None:
        self.cataloged.append("columns before the crawl")

    def ensure_table(self, export: Export, manifest: Manifest) -> None:
        self._refuse()
        self.cataloged.append("table")

    def correct_partitions(self, export: Export, manifest: Manifest) -> None:
        self.cataloged.append("partitions of before")

    def ensure_partition(self, export: Export, manifest: Manifest) -> None:
        self.cataloged.append(f"partition {export.snapshot_timestamp}")

    def _refuse(self) -> None:
        if self.refuses:
            raise Refused(self.refuses)


@dataclass
class FakeTables:
    table: Table = field(default_factory=a_table)
    described: list[str] = field(default_factory=list)
    exported: list[str] = field(default_factory=list)
    refuses: str | None = None

    def describe(self, export: Export, role_arn: str) -> Table:
        if self.refuses:
            raise Refused(self.refuses)
        self.described.append(export.export_id)
        return self.table

    def start_export(self, export: Export, role_arn: str) -> str:
        """The same for the same export, as the token makes it."""
        assert role_arn == a_pipeline().table_role_arn
        self.exported.append(export.export_id)
        return TABLE_EXPORT


@dataclass
class FakeSummaries:
    arn: str | None = TABLE_EXPORT

    def arn_in(self, uri: str) -> str | None:
        return self.arn


@dataclass
class FakeAthena:
    published: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)

    def create_view(self, export: Export, columns: list[tuple[str, str]]) -> str:
        self.published.append((export.snapshot_timestamp, columns))
        return f"query-of-{export.export_id}"


@dataclass
class FakeManifests:
    refuses: str | None = None
    manifest: Manifest = field(default_factory=a_manifest)

    def proof_of(self, export: Export) -> Manifest:
        if self.refuses:
            raise Refused(self.refuses)
        return self.manifest


@dataclass
class FakeBus:
    facts: list[Fact] = field(default_factory=list)

    def publish(self, facts: list[Fact]) -> None:
        self.facts += facts


@dataclass
class FakeCloud:
    """The cloud of a service under test: its records are real, on moto."""

    records: Records
    glue: FakeGlue = field(default_factory=FakeGlue)
    tables: FakeTables = field(default_factory=FakeTables)
    summaries: FakeSummaries = field(default_factory=FakeSummaries)
    athena: FakeAthena = field(default_factory=FakeAthena)
    manifests: FakeManifests = field(default_factory=FakeManifests)
    bus: FakeBus = field(default_factory=FakeBus)
    registered: Pipeline = field(default_factory=a_pipeline)

    def set_head(self, **attributes: str) -> None:
        """Change the pipeline's head behind everyone's back."""
        for name, value in attributes.items():
            self.records._client.update_item(
                TableName=self.records._table,
                Key={"pipeline": {"S": self.registered.pipeline}, "record": {"S": "pipeline"}},
                UpdateExpression=f"SET {name} = :value",
                ExpressionAttributeValues={":value": {"S": value}},
            )

    def the_export(self, export_id: str = "e1") -> Export:
        found = self.records.find(a_pipeline(), export_id)
        assert found is not None
        return found
