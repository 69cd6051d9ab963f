"""A cloud of a few lines: what a service asked of AWS, and answers that a test can set."""

from dataclasses import dataclass, field

from examples import a_pipeline

from table_exports.aws.records import Records
from table_exports.domain.errors import Refused
from table_exports.domain.export import Export
from table_exports.domain.facts import Fact
from table_exports.domain.manifest import Manifest
from table_exports.domain.pipeline import Pipeline


@dataclass
class FakeGlue:
    started: list[Export] = field(default_factory=list)
    crawled: list[Export] = field(default_factory=list)
    another_crawl_runs: bool = False
    columns: dict[str, str] = field(default_factory=lambda: {"asin": "string", "stars": "bigint"})
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

    def snapshot_columns(self, export: Export) -> dict[str, str]:
        self._refuse()
        return self.columns

    def _refuse(self) -> None:
        if self.refuses:
            raise Refused(self.refuses)


@dataclass
class FakeAthena:
    published: list[tuple[str, list[str]]] = field(default_factory=list)

    def create_view(self, export: Export, columns: list[str]) -> str:
        self.published.append((export.snapshot_timestamp, columns))
        return f"query-of-{export.export_id}"


@dataclass
class FakeManifests:
    refuses: str | None = None

    def proof_of(self, export: Export) -> Manifest:
        if self.refuses:
            raise Refused(self.refuses)
        snapshot = {"export_id": export.export_id, "snapshot_timestamp": export.snapshot_timestamp}
        return Manifest(
            **snapshot,
            items_counted=2,
            items_written=2,
            files=1,
            bytes=1234,
            schema={"asin": "string", "stars": "bigint"},
        )


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
