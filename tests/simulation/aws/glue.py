"""Glue: job runs that write snapshots, crawlers that catalog them, and the catalog."""

import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from simulation.aws.client import AwsError
from simulation.aws.dynamodb import Table, Tables
from simulation.aws.events import ACCOUNT, Buses
from simulation.aws.s3 import S3
from simulation.faults import Faults
from simulation.world import HOUR, MINUTE, World
from table_exports.domain import naming
from table_exports.domain.manifest import VERSION

RUNS_PER_PAGE = 2
ALIVE = {"STARTING", "RUNNING", "STOPPING", "WAITING"}
TELLS = {"SUCCEEDED": "INFO", "FAILED": "ERROR", "TIMEOUT": "WARN", "STOPPED": "INFO"}  # states with an event
OF_THE_QUEUE = ("EXPIRED", "stuck in the queue")
QUEUED_AT_MOST = 30 * MINUTE


@dataclass
class Run:
    run_id: str
    job: str
    arguments: dict[str, str]
    fate: str
    started: datetime
    state: str = "STARTING"
    stopping_since: datetime | None = None  # when someone asked to stop it
    ended: datetime | None = None
    message: str = ""
    began_by: str = "-"
    forgotten: bool = False  # deleted with its job

    @property
    def export_id(self) -> str | None:
        return self.arguments.get("--export_id")

    @property
    def alive(self) -> bool:
        return self.state in ALIVE


@dataclass
class Job:
    name: str
    table: str
    timeout_minutes: int
    queueing: bool
    entities: bool = False
    wide: bool = False  # with entities: whether it writes the table of all items, too
    runs: list[Run] = field(default_factory=list)  # oldest first


@dataclass
class Crawl:
    fate: str
    began: datetime
    ended: datetime | None = None
    status: str = "RUNNING"
    error: str | None = None
    own: bool = True  # asked for by a function of ours


@dataclass
class Crawler:
    name: str
    snapshot_table: str
    location: str
    state: str = "READY"
    crawls: list[Crawl] = field(default_factory=list)


class Glue:
    def __init__(self, world: World, faults: Faults, buses: Buses, s3: S3, tables: Tables) -> None:
        self.jobs: dict[str, Job] = {}
        self.crawlers: dict[str, Crawler] = {}
        self.all_runs: list[Run] = []  # also those that Glue knows no more
        self.written: dict[str, dict[str, Any]] = {}  # location of a snapshot -> the manifest, of what is complete
        self.types: dict[str, list[str]] = {}  # folder of a pipeline -> the types of items that it ever wrote
        self.catalog: dict[str, dict[str, Any]] = {}
        self.partitions: dict[str, dict[str, dict[str, Any]]] = {}
        self.starting: Callable[[Run], None] = lambda run: None
        self.removing: Callable[[str, str], None] = lambda table, snapshot: None
        self.who: Callable[[], str] = lambda: "-"
        self.view: Callable[[str], dict[str, Any] | None] = lambda name: None  # which Athena has put into the catalog
        self.views: Callable[[], Iterable[str]] = tuple  # the names of these
        self._world = world
        self._faults = faults
        self._buses = buses
        self._s3 = s3
        self._tables = tables

    # ------------------------------------------------------------------------------------------------ job runs
    def start_job_run(self, JobName: str, Arguments: dict[str, str]) -> dict[str, Any]:
        job = self._job(JobName)
        busy = any(run.alive for run in job.runs)
        if busy and not job.queueing:
            raise AwsError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {JobName}")
        run_id = f"jr_{len(self.all_runs) + 1}"
        fate = self._faults.fate("job run")
        if fate in OF_THE_QUEUE and not job.queueing:
            fate = "FAILED"
        run = Run(run_id, JobName, Arguments, fate, self._world.now, began_by=self.who())
        self.starting(run)
        job.runs.append(run)
        self.all_runs.append(run)
        queued = busy or run.fate in OF_THE_QUEUE
        if queued:
            run.state = "WAITING"
            if run.fate != "stuck in the queue":
                self._world.after(QUEUED_AT_MOST, lambda: self._expires(run), awaited=False)
        else:
            self._begin(job, run)
        return {"JobRunId": run_id}

    def get_job_runs(self, JobName: str, NextToken: str = "0", MaxResults: int = RUNS_PER_PAGE) -> dict[str, Any]:
        runs = self._job(JobName).runs[::-1]
        first = int(NextToken)
        answer = {"JobRuns": [_described(run) for run in runs[first : first + RUNS_PER_PAGE]]}
        if first + RUNS_PER_PAGE < len(runs):
            answer["NextToken"] = str(first + RUNS_PER_PAGE)
        return answer

    def get_job_run(self, JobName: str, RunId: str) -> dict[str, Any]:
        for run in self._job(JobName).runs:
            if run.run_id == RunId:
                return {"JobRun": _described(run)}
        raise AwsError("EntityNotFoundException", f"Job run {RunId} of {JobName} not found")

    def batch_stop_job_run(self, JobName: str, JobRunIds: list[str]) -> dict[str, Any]:
        found = {run.run_id: run for run in self._job(JobName).runs}
        stopped, errors = [], []
        for run_id in JobRunIds:
            run = found.get(run_id)
            if run is None or not run.alive:
                code = "EntityNotFoundException" if run is None else "InvalidInputException"
                detail = {"ErrorCode": code, "ErrorMessage": f"{run_id} cannot be stopped"}
                errors.append({"JobName": JobName, "JobRunId": run_id, "ErrorDetail": detail})
            else:
                self.stop(run)
                stopped.append({"JobName": JobName, "JobRunId": run_id})
        return {"SuccessfulSubmissions": stopped, "Errors": errors}

    def stop(self, run: Run) -> None:
        run.state, run.stopping_since = "STOPPING", self._world.now
        self._world.after(20.0, lambda: self._end(run, "STOPPED", "Job run stopped"))

    def delete_job(self, name: str) -> None:
        """With all its runs."""
        job = self.jobs.pop(name)
        for run in job.runs:
            run.forgotten = True
            if run.alive:
                run.state, run.ended = "DELETED", self._world.now

    def _begin(self, job: Job, run: Run) -> None:
        run.state = "RUNNING"
        began, world = self._world.seconds, self._world
        takes = world.varies(120.0, 20.0, 600.0, 1500.0)
        if self._manifest_of(run):
            takes = 15.0
        if run.fate == "slow":
            takes = job.timeout_minutes * MINUTE * 0.9
        if run.fate == "TIMEOUT":
            world.after(job.timeout_minutes * MINUTE, lambda: self._end(run, "TIMEOUT", "Job run timed out"))
            return
        if run.fate in ("SUCCEEDED", "slow", "FAILED after its manifest", "EXPIRED") and run.export_id:
            world.after(takes - 2.0, lambda: self._write(run, began))
        ends = {
            "FAILED": ("FAILED", "An error occurred while calling o91. Out of memory"),
            "FAILED after its manifest": ("FAILED", "The driver's node was lost"),
            "STOPPED": ("STOPPED", "Job run stopped"),
            "ERROR": ("ERROR", "Internal service error"),
            "DELETED": ("DELETED", ""),
        }
        state, message = ends.get(run.fate, ("SUCCEEDED", "Job run succeeded"))
        world.after(takes, lambda: self._end_by_itself(run, state, message))

    def _end_by_itself(self, run: Run, state: str, message: str) -> None:
        """The end of the script. It succeeds with its manifest only: a run that is being stopped may have none."""
        if not (state == "SUCCEEDED" and run.state == "STOPPING" and run.export_id and not self._manifest_of(run)):
            self._end(run, state, message)

    def _expires(self, run: Run) -> None:
        if run.state == "WAITING":
            self._end(run, "EXPIRED", "Job run expired in the queue")

    def _end(self, run: Run, state: str, message: str) -> None:
        if not run.alive:
            return
        run.state, run.message, run.ended = state, message, self._world.now
        job = self.jobs[run.job]
        self._world.note("Glue", f"{run.run_id} {state}")
        if state == "DELETED":
            job.runs.remove(run)
        elif state in TELLS:
            detail = {
                "jobName": run.job,
                "severity": TELLS[state],
                "state": state,
                "jobRunId": run.run_id,
                "message": message,
            }
            self._buses.send("default", "aws.glue", "Glue Job State Change", detail)
        free = not any(run.state in ("STARTING", "RUNNING", "STOPPING") for run in job.runs)
        waiting = next((run for run in job.runs if run.state == "WAITING"), None)
        if waiting and free and waiting.fate not in OF_THE_QUEUE:
            self._begin(job, waiting)

    def _write(self, run: Run, began: float) -> None:
        """The snapshot, complete at once, as the job makes it; unless it is there."""
        if not run.alive or run.state == "STOPPING" or self._manifest_of(run):
            return
        arguments = run.arguments
        job = self.jobs[run.job]
        table = self._tables.tables[job.table]
        manifest: dict[str, Any] = {
            "version": VERSION,
            "export_id": run.export_id,
            "snapshot_timestamp": arguments["--snapshot_timestamp"],
            "output_format": arguments["--output_format"],
            "items_counted": 3,
            "items_written": 3,
            "items_expected": 3,
            "files": 1,
            "bytes": 1234,
            "columns": [{"name": name, "type": "string", "attribute": name} for name in table.attributes],
            "serde_parameters": {},
        }
        if job.entities:
            manifest |= self._sections(job, arguments, table)
        for part in manifest.get("entities", [manifest | {"location": _location(arguments)}]):
            if part["files"]:
                self._s3.objects[_place(f"{part['location']}part-00000.zstd.parquet")] = b"rows"
            self.written[part["location"]] = part | {"snapshot_timestamp": arguments["--snapshot_timestamp"]}
        self._s3.objects[_place(arguments["--manifest"])] = json.dumps(manifest).encode()
        self._world.note("Glue", f"{run.run_id} wrote its snapshot and its manifest")

    def _sections(self, job: Job, arguments: dict[str, str], table: Table) -> dict[str, Any]:
        """What a manifest has instead of columns: a section for each type that there is, or ever was."""
        prefix = arguments["--output_prefix"]
        known = self.types.setdefault(prefix, [])
        known += [kind for kind, items in table.types.items() if items and kind not in known]
        known += [*table.types][: not known]  # of a table without items, as the rest
        catalog_name = prefix.rpartition("/snapshots_")[2]
        sections = [
            _section(
                f"{catalog_name}_{kind}",
                table.types[kind],
                f"{naming.entity_prefix(prefix, f'{catalog_name}_{kind}')}/",
                [*table.attributes, f"of_{kind}"],
                arguments,
                value=kind,
            )
            for kind in known
        ]
        items = sum(section["items_written"] for section in sections)
        if job.wide:
            columns = [*table.attributes, *(f"of_{kind}" for kind in known)]
            sections.append(_section(catalog_name, items, f"{prefix}/", columns, arguments, value=None, wide=True))
        sections.sort(key=lambda section: section["name"])
        return {
            "columns": [],
            "items_counted": items + 1,
            "items_omitted": 1,
            "items_written": items,
            "items_expected": items + 1,
            "files": sum(section["files"] for section in sections),
            "entities": sections,
        }

    def forget(self, prefix: str) -> None:
        """Someone deletes all snapshots of a pipeline: no job finds a manifest with the types that it ever wrote."""
        self.types.pop(prefix, None)
        folders = (f"{prefix}/", f"{naming.entities_prefix(prefix)}/")
        self.written = {place: made for place, made in self.written.items() if not place.startswith(folders)}

    def _manifest_of(self, run: Run) -> bool:
        """Whether the run finds its own export's manifest: then it leaves everything as it is."""
        if run.export_id is None:
            return False
        found = self._s3.objects.get(_place(run.arguments["--manifest"]))
        return found is not None and json.loads(found)["export_id"] == run.export_id

    def _job(self, name: str) -> Job:
        if name not in self.jobs:
            raise AwsError("EntityNotFoundException", f"Failed to find job {name}")
        return self.jobs[name]

    # ------------------------------------------------------------------------------------------------ crawls
    def start_crawler(self, Name: str) -> dict[str, Any]:
        crawler = self._crawler(Name)
        if crawler.state != "READY":
            raise AwsError("CrawlerRunningException", f"Crawler {Name} is running")
        self.crawl(crawler)
        return {}

    def crawl(self, crawler: Crawler, own: bool = True) -> None:
        crawl = Crawl(self._faults.fate("crawl"), self._world.now, own=own)
        crawler.crawls.append(crawl)
        crawler.state = "RUNNING"
        usual = self._world.varies(70.0, 5.0, 15.0, 300.0, 900.0)
        seconds = {"slow": 80 * MINUTE, "hangs": 100 * HOUR}.get(crawl.fate, usual)
        seen = [
            manifest
            for place, manifest in self.written.items()
            if place.startswith(f"{crawler.location}/") and self._s3.keys(*_place(place))
        ]
        self._world.after(seconds, lambda: self._crawled(crawler, crawl, seen), awaited=crawl.fate != "hangs")

    def stop_crawler(self, Name: str) -> dict[str, Any]:
        crawler = self._crawler(Name)
        if crawler.state == "READY":
            raise AwsError("CrawlerNotRunningException", f"Crawler {Name} is not running")
        if crawler.state == "STOPPING":
            raise AwsError("CrawlerStoppingException", f"Crawler {Name} is stopping")
        self._crawl_ended(crawler, crawler.crawls[-1], "CANCELLED")
        return {}

    def get_crawler(self, Name: str) -> dict[str, Any]:
        crawler = self._crawler(Name)
        described: dict[str, Any] = {"Name": Name, "State": crawler.state}
        ended = [crawl for crawl in crawler.crawls if crawl.ended]
        if ended:
            last = ended[-1]
            described["LastCrawl"] = {"Status": last.status, "StartTime": last.began}
            if last.error:
                described["LastCrawl"]["ErrorMessage"] = last.error
        return {"Crawler": described}

    def _crawled(self, crawler: Crawler, crawl: Crawl, seen: list[dict[str, Any]]) -> None:
        if crawl.ended:
            return None
        if crawl.fate in ("FAILED", "CANCELLED"):
            crawl.error = "Internal Service Exception" if crawl.fate == "FAILED" else None
            return self._crawl_ended(crawler, crawl, crawl.fate)
        for manifest in seen:
            self._catalog(crawler, manifest)
        self._crawl_ended(crawler, crawl, "SUCCEEDED")

    def _crawl_ended(self, crawler: Crawler, crawl: Crawl, status: str) -> None:
        """The event comes when the crawl is done; the crawler takes a little longer to be ready again."""
        now = self._world.now
        crawl.status, crawl.ended, crawler.state = status, now, "STOPPING"
        self._world.after(self._world.varies(3.0, 0.2, 15.0), lambda: self._ready(crawler))
        self._world.note("Glue", f"a crawl of {crawler.name} ended {status}")
        if status == "CANCELLED":
            return
        detail = {"crawlerName": crawler.name, "accountId": ACCOUNT, "state": status.capitalize()}
        if status == "FAILED":
            detail |= {"errorMessage": crawl.error, "message": "Crawler Failed"}
        else:
            seconds = round((now - crawl.began).total_seconds())
            detail |= {
                "completionDate": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "runningTime (sec)": str(seconds),
                "message": "Crawler Succeeded",
                "warningMessage": "N/A",
            }
        self._buses.send("default", "aws.glue", "Glue Crawler State Change", detail)

    def _ready(self, crawler: Crawler) -> None:
        crawler.state = "READY"

    def _catalog(self, crawler: Crawler, manifest: dict[str, Any]) -> None:
        """What a crawl makes of a snapshot: the types are its own."""
        columns = [{"Name": column["name"], "Type": "bigint"} for column in manifest["columns"]]
        table = self.catalog.setdefault(
            crawler.snapshot_table,
            {
                "Name": crawler.snapshot_table,
                "PartitionKeys": [{"Name": "snapshot_timestamp", "Type": "string"}],
                "StorageDescriptor": {"Columns": columns, "Location": f"{crawler.location}/"},
                "Parameters": {"UPDATED_BY_CRAWLER": crawler.name},
                "VersionId": "1",
            },
        )
        known = {column["Name"] for column in table["StorageDescriptor"]["Columns"]}
        table["StorageDescriptor"]["Columns"] += [column for column in columns if column["Name"] not in known]
        table["VersionId"] = str(int(table["VersionId"]) + 1)
        partitions = self.partitions.setdefault(crawler.snapshot_table, {})
        timestamp = manifest["snapshot_timestamp"]
        location = f"{crawler.location}/snapshot_timestamp={timestamp}/"
        descriptor = copy.deepcopy(table["StorageDescriptor"]) | {"Location": location}
        partitions.setdefault(timestamp, {"Values": [timestamp], "StorageDescriptor": descriptor, "Parameters": {}})

    def _crawler(self, name: str) -> Crawler:
        if name not in self.crawlers:
            raise AwsError("EntityNotFoundException", f"Crawler {name} not found")
        return self.crawlers[name]

    # ------------------------------------------------------------------------------------------------ catalog
    def get_database(self, Name: str) -> dict[str, Any]:
        return {"Database": {"Name": Name}}

    def get_table(self, DatabaseName: str, Name: str) -> dict[str, Any]:
        return {"Table": copy.deepcopy(self._table(Name))}

    def get_tables(self, DatabaseName: str, Expression: str, AttributesToGet: list[str]) -> dict[str, Any]:
        found = sorted(name for name in {*self.catalog, *self.views()} if re.fullmatch(Expression, name))
        return {"TableList": [{"Name": name} for name in found]}

    def create_table(self, DatabaseName: str, TableInput: dict[str, Any]) -> dict[str, Any]:
        if TableInput["Name"] in self.catalog:
            raise AwsError("AlreadyExistsException", "Table already exists")
        self.catalog[TableInput["Name"]] = copy.deepcopy(TableInput) | {"VersionId": "0"}
        return {}

    def update_table(
        self, DatabaseName: str, TableInput: dict[str, Any], VersionId: str | None = None
    ) -> dict[str, Any]:
        table = self._table(TableInput["Name"])
        if VersionId is not None and VersionId != table["VersionId"]:
            raise AwsError("ConcurrentModificationException", "The table was changed meanwhile")
        version = str(int(table["VersionId"]) + 1)
        self.catalog[TableInput["Name"]] = copy.deepcopy(TableInput) | {"VersionId": version}
        return {}

    def batch_create_partition(
        self, DatabaseName: str, TableName: str, PartitionInputList: list[dict[str, Any]]
    ) -> dict[str, Any]:
        self._table(TableName)
        partitions = self.partitions.setdefault(TableName, {})
        errors = []
        for partition in PartitionInputList:
            (timestamp,) = partition["Values"]
            if timestamp in partitions:
                detail = {"ErrorCode": "AlreadyExistsException", "ErrorMessage": "Partition already exists."}
                errors.append({"PartitionValues": [timestamp], "ErrorDetail": detail})
            else:
                partitions[timestamp] = copy.deepcopy(partition)
        return {"Errors": errors}

    def get_partition(self, DatabaseName: str, TableName: str, PartitionValues: list[str]) -> dict[str, Any]:
        return {"Partition": copy.deepcopy(self._partition(TableName, PartitionValues))}

    def get_partitions(
        self,
        DatabaseName: str,
        TableName: str,
        MaxResults: int,
        NextToken: str = "0",
        ExcludeColumnSchema: bool = False,
    ) -> dict[str, Any]:
        self._table(TableName)
        start, end = int(NextToken), int(NextToken) + MaxResults
        found = list(self.partitions.get(TableName, {}).values())
        more = {"NextToken": str(end)} if end < len(found) else {}
        return {"Partitions": copy.deepcopy(found[start:end]), **more}

    def delete_partition(self, DatabaseName: str, TableName: str, PartitionValues: list[str]) -> dict[str, Any]:
        self._partition(TableName, PartitionValues)
        self.removing(TableName, PartitionValues[0])
        del self.partitions[TableName][PartitionValues[0]]
        return {}

    def update_partition(
        self, DatabaseName: str, TableName: str, PartitionValueList: list[str], PartitionInput: dict[str, Any]
    ) -> dict[str, Any]:
        self._partition(TableName, PartitionValueList)
        self.partitions[TableName][PartitionValueList[0]] = copy.deepcopy(PartitionInput)
        return {}

    def batch_update_partition(
        self, DatabaseName: str, TableName: str, Entries: list[dict[str, Any]]
    ) -> dict[str, Any]:
        for entry in Entries:
            self.update_partition(DatabaseName, TableName, entry["PartitionValueList"], entry["PartitionInput"])
        return {"Errors": []}

    def _table(self, name: str) -> dict[str, Any]:
        if view := self.view(name):
            return view
        if name not in self.catalog:
            raise AwsError("EntityNotFoundException", f"Table {name} not found.")
        return self.catalog[name]

    def _partition(self, table: str, values: list[str]) -> dict[str, Any]:
        self._table(table)
        found = self.partitions.get(table, {}).get(values[0])
        if found is None:
            raise AwsError("EntityNotFoundException", "Partition not found.")
        return found

    def alive(self) -> Iterator[Run]:
        return (run for run in self.all_runs if run.alive)


def _section(
    name: str, items: int, folder: str, columns: list[str], arguments: dict[str, str], **more: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "location": f"{folder}snapshot_timestamp={arguments['--snapshot_timestamp']}/",
        "items_written": items,
        "files": 1 if items else 0,
        "bytes": items,
        "columns": [{"name": column, "type": "string", "attribute": column} for column in columns],
        "comments": {},
        "serde_parameters": {},
        "view_names": {},
        "not_converted": {},
        **more,
    }


def _location(arguments: dict[str, str]) -> str:
    return f"{arguments['--output_prefix']}/snapshot_timestamp={arguments['--snapshot_timestamp']}/"


def _place(uri: str) -> tuple[str, str]:
    """Bucket and key."""
    split = urlsplit(uri)
    return split.netloc, split.path.lstrip("/")


def _described(run: Run) -> dict[str, Any]:
    described = {
        "Id": run.run_id,
        "JobName": run.job,
        "StartedOn": run.started,
        "Arguments": run.arguments,
        "JobRunState": run.state,
    }
    if run.message and run.state != "SUCCEEDED":
        described["ErrorMessage"] = run.message
    return described
