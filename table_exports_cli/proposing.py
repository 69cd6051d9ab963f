"""Reads what the proposals are made from: manifest, deployed contract, and, by queries, the latest snapshot."""

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from table_exports.aws.athena import Athena
from table_exports.aws.bucket_owner import expect_owner
from table_exports.aws.manifests import Manifests
from table_exports.domain import naming
from table_exports.domain.datasets import Dataset, datasets
from table_exports.domain.errors import PermanentError
from table_exports.domain.export import Export
from table_exports.domain.manifest import Manifest, OtherVersion
from table_exports.domain.reports.formatting import size
from table_exports_cli import key_patterns, measuring
from table_exports_cli.problems import CommandError
from table_exports_cli.proposals import Facts, Observed, Proposal, Wanted, proposals, wanted
from table_exports_cli.queries import wait_for_end
from table_exports_cli.system import NAME, System

QUERY_ENDS_WITHIN_SECONDS = 600
USD_PER_TB = 5  # Athena in us-east-1
LEAST_BYTES = 10_000_000  # that Athena charges for a query
NO_BLOCK = "-"  # the argument of a job without one


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known from the manifest, and what queries would add to it."""

    export: Export
    bytes: int  # of the snapshot
    observed: Observed
    queries: list[list[Wanted]]
    left_out: int  # attributes that do not fit into the queries

    def description(self) -> list[str]:
        number = len(self.queries)
        cost = number * max(self.bytes, LEAST_BYTES) * USD_PER_TB / 10**12
        what = f"{number} Athena quer{'y' if number == 1 else 'ies'} of {self.export.snapshot_table}"
        cents = f"${cost:.2f}" if cost >= 0.01 else "less than $0.01"
        lines = [
            f"{what}, snapshot {self.export.snapshot_timestamp}, {size(self.bytes)}. Each reads at most the whole "
            f"snapshot. At ${USD_PER_TB} per TB (us-east-1), the most that this can cost is {cents}"
        ]
        if self.left_out:
            lines.append(f"{self.left_out} attributes are not measured, because the queries would be too large")
        return lines


def plan(system: System, name: str, entity: str | None = None) -> Plan:
    """Read manifest and contract of a pipeline. Raises CommandError if it has no snapshot yet.

    With entities, they are those of one entity, or by default of the table of all items.
    """
    pipeline = system.pipeline(name)
    if pipeline.published_snapshot is None:
        raise CommandError(f"{name} has not published a snapshot yet: table-exports run {name} --wait")
    s3 = expect_owner(system.client("s3"), system.account)
    manifests = Manifests(s3)
    try:
        export, manifest = manifests.of_snapshot(pipeline, pipeline.published_snapshot)
    except OtherVersion:
        raise
    except PermanentError as error:
        raise CommandError(f"{error}. To restore the manifest: table-exports repair {name}") from error
    content = json.loads(_read(s3, export.manifest_uri))
    contract, block = _deployed(system, s3, export)
    if manifest.entities or entity:
        export, manifest = _table_of(datasets(export, manifest), name, entity)
        [content] = [section for section in content["entities"] if section["name"] == export.catalog_name]
    observed = _observed(manifest, content, contract, _deciding_on_types(block))
    every = wanted(observed)
    queries = measuring.planned(every, observed.output_format == "csv")
    return Plan(export, manifest.bytes, observed, queries, len(every) - sum(map(len, queries)))


def _table_of(tables: Sequence[Dataset], name: str, entity: str | None) -> Dataset:
    """Return the table of an entity, by its name with or without the pipeline's. Raises CommandError if none is."""
    catalog_name = naming.catalog_name_of(name)
    found = {export.catalog_name: (export, manifest) for export, manifest in tables}
    if not found.keys() - {catalog_name}:
        raise CommandError(f"{name} has no entities: omit --entity")
    for choice in (entity, f"{catalog_name}_{entity}") if entity else (catalog_name,):
        if choice in found:
            return found[choice]
    what = f"has no entity {entity}" if entity else "has entities: choose one with --entity"
    raise CommandError(f"{name} {what}. Entities: {', '.join(found)}")


def _deciding_on_types(block: dict[str, Any]) -> set[str]:
    """Return the attributes that a block Entities uses or adds: rules for them are invalid."""
    by = block.get("by")
    used = {by["key"] if isinstance(by, dict) else by} if by else set()
    for declared in block.get("types", {}).values():
        for attribute, pattern in declared.get("when", {}).items():
            used |= {attribute, *(f"{{{placeholder}}}" for placeholder in key_patterns.placeholders(pattern))}
    return used


def _observed(
    manifest: Manifest, content: dict[str, Any], contract: dict[str, Any], without: Container[str]
) -> Observed:
    attributes = {name: seen for name, seen in content["attributes"].items() if name not in without}
    columns = {column.attribute: (column.name, column.type) for column in manifest.columns}
    return Observed(manifest.output_format, attributes, columns, content.get("fields"), contract)


def _deployed(system: System, s3: Any, export: Export) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the blocks Columns and Entities that the next export uses: those that the job is deployed with."""
    arguments = system.client("glue").get_job(JobName=export.glue_job_name)["Job"].get("DefaultArguments", {})
    columns, entities = (
        {} if (location := arguments.get(f"--{name}", NO_BLOCK)) == NO_BLOCK else json.loads(_read(s3, location))[name]
        for name in ("columns", "entities")
    )
    return columns, entities


def _read(s3: Any, uri: str) -> bytes:
    place = urlsplit(uri)
    return s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read()


def propose(system: System, planned: Plan, queries: Sequence[list[Wanted]]) -> list[Proposal]:
    """Measure with these queries, and return the proposals. Raises CommandError if a query fails."""
    facts: dict[str, Facts] = {}
    for query in queries:
        facts |= _measure(system, planned, query)
    return proposals(planned.observed, facts)


def _measure(system: System, planned: Plan, query: list[Wanted]) -> dict[str, Facts]:
    client, export = system.client("athena"), planned.export
    text_only = planned.observed.output_format == "csv"
    sql = measuring.sql(query, text_only, system.database, export.snapshot_table, export.snapshot_timestamp)
    query_id = client.start_query_execution(
        QueryString=sql, QueryExecutionContext={"Database": system.database}, WorkGroup=NAME
    )["QueryExecutionId"]
    athena, end = Athena(client, NAME, system.database), None
    try:
        end = wait_for_end(athena, query_id, QUERY_ENDS_WITHIN_SECONDS)
    finally:
        if end is None:
            athena.stop_query(query_id)
    otherwise = "To propose only what the manifest tells, add --no-query"
    if end is None:
        raise CommandError(
            f"Athena query {query_id} has not ended after {QUERY_ENDS_WITHIN_SECONDS} seconds and was stopped: "
            f"repeat the command. {otherwise}"
        )
    if end.state != "SUCCEEDED":
        raise CommandError(
            f"Athena query {query_id} ended {end.state}: {end.message}. If the table or the partition does not exist: "
            f"table-exports repair {export.pipeline}. {otherwise}"
        )
    [_, row] = client.get_query_results(QueryExecutionId=query_id)["ResultSet"]["Rows"]  # the first has the names
    return measuring.facts(query, text_only, [value.get("VarCharValue") for value in row["Data"]])
