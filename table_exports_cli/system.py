"""The deployed system, in the account and Region of the terminal's AWS settings."""

import json
import os
import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, NoRegionError

from table_exports.aws.overviews import overview_of, readable
from table_exports.aws.records import Records
from table_exports.domain.errors import InvalidRecord
from table_exports.domain.export import Export
from table_exports.domain.pipeline import LONGEST_REASON, End, Pipeline
from table_exports.domain.public_events import SOURCE
from table_exports.domain.reports.overview import Cataloged, Overview, Row
from table_exports.domain.reports.timeline import Timeline, timeline
from table_exports.domain.request import EXPORT_ID, request_detail, request_identity, resume_detail
from table_exports_cli.problems import AWS_ERROR, DENIED, NOT_FOUND, CommandError

NAME = "table-exports"  # of the common stack, the bus and the state table
CONFIG = Config(user_agent_appid=NAME, retries={"mode": "standard", "max_attempts": 5})  # type: ignore[call-arg]  # newer than the stubs


def session(profile: str | None, region: str | None) -> boto3.Session:
    """Create a session from the terminal's AWS settings. Like the AWS CLI it uses AWS_REGION, which boto3 ignores.

    Raises ProfileNotFound, or NoRegionError.
    """
    found = boto3.Session(profile_name=profile, region_name=region or os.environ.get("AWS_REGION"))
    if found.region_name is None:
        raise NoRegionError
    return found


class System:
    def __init__(self, profile: str | None, region: str | None) -> None:
        """Raises ProfileNotFound, or NoRegionError."""
        self._session = session(profile, region)
        self._clients: dict[str, Any] = {}
        self._reasons: dict[tuple[str, datetime], str | None] = {}  # by export and end: `watch` asks once

    def client(self, service: str) -> Any:
        if service not in self._clients:
            try:
                self._clients[service] = self._session.client(service, config=CONFIG)
            except ValueError as error:  # botocore's own
                remedy = "AWS_ENDPOINT_URL is an address like http://127.0.0.1:4566, or is not set"
                raise CommandError(f"{error}: {remedy}", AWS_ERROR) from error
        return self._clients[service]

    @property
    def region(self) -> str:
        return self._session.region_name

    @cached_property
    def records(self) -> Records:
        """The state records. Raises CommandError if the common stack is not deployed."""
        client = self.client("dynamodb")
        try:
            client.describe_table(TableName=NAME)
        except client.exceptions.ResourceNotFoundException as error:
            raise CommandError(f"table-exports is not deployed in {self.region}: make deploy", NOT_FOUND) from error
        except ClientError as error:
            if error.response["Error"]["Code"] not in DENIED:
                raise  # reading the table does not require the permission to describe it
        return Records(client, NAME)

    @cached_property
    def _environment(self) -> dict[str, str]:
        """The parameters of the common stack that functions get."""
        found = self.client("lambda").get_function_configuration(FunctionName=f"{NAME}-start_export")
        return found["Environment"]["Variables"]

    @property
    def account(self) -> str:
        """The account of everything that is deployed."""
        return self._environment["ACCOUNT"]

    @property
    def history_days(self) -> int:
        """How long the record of an ended export is kept, as deployed."""
        return int(self._environment["HISTORY_DAYS"])

    @property
    def database(self) -> str:
        """The Glue database of all snapshot tables and views, as deployed."""
        return self._environment["DATABASE"]

    def pipelines(self) -> list[Pipeline]:
        """Return the pipelines whose records are valid."""
        found, _ = readable(self.records.pipelines())
        return sorted(found, key=lambda pipeline: pipeline.pipeline)

    def pipeline_names(self) -> list[str]:
        """Return the names of all pipelines, also of those with invalid records."""
        return sorted(found.pipeline for found in self.records.pipelines())

    def overview(self, now: datetime) -> Overview:
        """Return the overview with the whole reasons of failures. The head of a pipeline cuts long ones."""
        found = overview_of(self.records, now)
        return replace(found, rows=tuple(map(self._with_whole_reason, found.rows)))

    def _with_whole_reason(self, row: Row) -> Row:
        end = row.last_end
        if end is None or end.reason is None or len(end.reason) < LONGEST_REASON:
            return row
        if (known := (end.export_id, end.ended_at)) not in self._reasons:
            self._reasons[known] = self._reason_of(row.name, end)
        recent = (*row.pipeline.recent[:-1], replace(end, reason=self._reasons[known]))
        return replace(row, pipeline=replace(row.pipeline, recent=recent))

    def _reason_of(self, pipeline: str, end: End) -> str | None:
        """Return the reason that the export's record has. What the head has if that has expired or is invalid."""
        try:
            export = self.records.export(pipeline, end.record_key)
        except InvalidRecord:
            export = None
        return export.reason if export and export.ended_at == end.ended_at else end.reason

    def cataloged(self) -> Cataloged:
        """Return what the Glue database has. Nothing if it does not exist."""
        glue, database = self.client("glue"), self.database
        pages = glue.get_paginator("get_tables").paginate(DatabaseName=database)
        try:
            return Cataloged.of((table for page in pages for table in page["TableList"]), database)
        except glue.exceptions.EntityNotFoundException:
            return Cataloged(frozenset(), {})

    def pipeline(self, name: str) -> Pipeline:
        """Return a pipeline. Raises InvalidRecord, or CommandError with all names if there is none of this name."""
        if name and (found := self.records.pipeline(name)):
            return found
        known = ", ".join(self.pipeline_names()) or "none"
        raise CommandError(f"There is no pipeline {name or repr(name)}. Pipelines: {known}", NOT_FOUND)

    def export(self, named: str) -> Export:
        """Return an export by its id, or the latest of a pipeline.

        Raises InvalidRecord, or CommandError if there is none.
        """
        if re.fullmatch(EXPORT_ID, named):
            if found := self.records.find_export(named) or self._holder(named):
                return found
            raise CommandError(f"There is no record of export {named}: it may have expired", NOT_FOUND)
        pipeline = self.pipeline(named)
        for latest in self.records.exports(pipeline.pipeline, 1):
            if isinstance(latest, InvalidRecord):
                raise latest
            return latest
        raise CommandError(f"{named} has no exports yet: table-exports run {named}", NOT_FOUND)

    def _holder(self, export_id: str) -> Export | None:
        """Return the export if it holds its pipeline's lock: its record may have lost the attribute of the index."""
        for pipeline in self.pipelines():
            if pipeline.export_in_flight and pipeline.export_id_in_flight == export_id:
                return self.records.export(pipeline.pipeline, pipeline.export_in_flight)
        return None

    def running(self, pipeline: Pipeline) -> Export | None:
        """Return the export that holds the pipeline's lock. None if there is none, or it has ended.

        Raises InvalidRecord. start_export frees a lock whose holder has ended.
        """
        holder = pipeline.export_in_flight and self.records.export(pipeline.pipeline, pipeline.export_in_flight)
        return None if not holder or holder.ended else holder

    def timeline(self, export: Export, now: datetime) -> Timeline:
        return timeline(export, self.records.pipeline(export.pipeline), now)

    def request_export(self, pipeline: Pipeline, read_percentage: Decimal | None) -> str:
        """Request an export and return its id, which follows from the request."""
        detail = request_detail(pipeline, f"cli-{uuid.uuid4().hex}", read_percentage)
        self._put(detail)
        return request_identity({"detail": detail})

    def request_resume(self, export: Export) -> None:
        self._put(resume_detail(export, f"cli-{uuid.uuid4().hex}"))

    def _put(self, detail: dict[str, Any]) -> None:
        entry = {"EventBusName": NAME, "Source": SOURCE, "DetailType": "Export Requested", "Detail": json.dumps(detail)}
        [answer] = self.client("events").put_events(Entries=[entry])["Entries"]
        if "ErrorCode" in answer:
            raise CommandError(
                f"The bus did not accept the request: {answer['ErrorCode']}: {answer.get('ErrorMessage', '')}"
            )


def the_time() -> datetime:
    return datetime.now(UTC)
