"""Crawls: derive tables and partitions of the catalog from the files of the S3 targets, with the crawler's role."""

import json
import logging
import math
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from sandbox.cloud import ACCOUNT, REGION, Cloud, split_uri
from sandbox.datalake.catalog import data_files, not_found_is_none
from sandbox.events.delivery import AwsEvents, iso
from sandbox.gateway.calls import AwsError, Call, Response
from sandbox.gateway.routes import Routes
from sandbox.glue.classifiers import Columns, Recognized, recognize, wider
from sandbox.glue.responses import only_set

logger = logging.getLogger(__name__)

CACHED_SCHEMAS = 4096
PARTITIONS_PER_CALL = 100
OF_THE_SCHEMA = {"avro.schema.literal", "paths"}  # SerDe parameters that a crawl writes anew


class CrawlFailed(Exception):
    pass


class File(NamedTuple):
    uri: str
    bytes: int
    folder: str  # the table's, s3://bucket/.../
    partition: tuple[tuple[str, str], ...]  # key and value per folder between the table's and the file
    content: Recognized


class Crawl:
    def __init__(self, crawler: dict[str, Any]) -> None:
        self.id = str(uuid.uuid4())
        self.crawler = crawler
        self.state = "RUNNING"
        self.error: str | None = None
        self.started = time.time()
        self.ended: float | None = None
        self.changes: Counter[str] = Counter()
        self.stopping = threading.Event()

    @property
    def seconds(self) -> float:
        return (self.ended or time.time()) - self.started

    def log(self) -> dict[str, str]:
        return {"LogGroup": "/aws-glue/crawlers", "LogStream": self.crawler["Name"], "MessagePrefix": self.id}

    def last_crawl(self) -> dict[str, Any]:
        status = {"COMPLETED": "SUCCEEDED", "STOPPED": "CANCELLED"}.get(self.state, self.state)
        error = {"ErrorMessage": self.error} if self.error else {}
        return {"Status": status, "StartTime": self.started, **self.log(), **error}

    def describe(self) -> dict[str, Any]:
        """Returns the crawl of ListCrawls."""
        end = {"EndTime": self.ended} if self.ended else {}
        error = {"ErrorMessage": self.error} if self.error else {}
        return {"CrawlId": self.id, "State": self.state, "StartTime": self.started, **end, **error, **self.log()}


class Crawls:
    def __init__(self, cloud: Cloud, events: AwsEvents) -> None:
        self._cloud, self._events = cloud, events
        self._crawls: dict[str, list[Crawl]] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------------------------------------------ the API

    def routes(self) -> Routes:
        return Routes(
            requests={
                ("glue", "DeleteCrawler"): self.refuse_while_running,
                ("glue", "UpdateCrawler"): self.refuse_while_running,
            },
            handlers={
                ("glue", "StartCrawler"): self.start,
                ("glue", "StopCrawler"): self.stop,
                ("glue", "GetCrawler"): self.get,
                ("glue", "GetCrawlers"): self.get_all,
                ("glue", "ListCrawls"): self.list,
            },
        )

    def refuse_while_running(self, call: Call) -> Call:
        """Passes the call on to the emulator, which knows of no crawls. Raises AwsError while one is running."""
        if self._running(name := call.json["Name"]):
            raise AwsError("CrawlerRunningException", f"Crawler with name {name} is running")
        return call

    def start(self, call: Call, response: Response) -> Response | dict[str, Any]:
        if response.error not in (None, "CrawlerRunningException"):
            return response
        name = call.json["Name"]
        crawl = Crawl(self._cloud.client("glue").get_crawler(Name=name)["Crawler"])
        with self._lock:
            if self._running(name):
                raise AwsError("CrawlerRunningException", f"Crawler with name {name} has already started")
            self._crawls.setdefault(name, []).append(crawl)
        threading.Thread(target=self._run, args=[crawl], name=f"crawl {name}", daemon=True).start()
        return {}

    def stop(self, call: Call, response: Response) -> Response | dict[str, Any]:
        if response.error not in (None, "CrawlerNotRunningException"):
            return response
        crawl = self._running(call.json["Name"])
        if crawl is None:
            raise AwsError("CrawlerNotRunningException", f"Crawler with name {call.json['Name']} isn't running")
        crawl.stopping.set()
        return {}

    def get(self, call: Call, response: Response) -> Response | dict[str, Any]:
        return {"Crawler": self._complete(response.json["Crawler"])} if response.ok else response

    def get_all(self, call: Call, response: Response) -> Response | dict[str, Any]:
        return (
            {"Crawlers": [self._complete(crawler) for crawler in response.json["Crawlers"]]}
            if response.ok
            else response
        )

    def list(self, call: Call, response: Response) -> dict[str, Any]:
        """Lists the newest crawl first. The emulator does not know this action; it only checks permissions."""
        crawls = self._crawls.get(call.json["CrawlerName"], [])[::-1]
        return {"Crawls": [crawl.describe() for crawl in crawls[: call.json.get("MaxResults", 20)]]}

    def _running(self, name: str) -> Crawl | None:
        return next((crawl for crawl in self._crawls.get(name, []) if crawl.state == "RUNNING"), None)

    def _complete(self, crawler: dict[str, Any]) -> dict[str, Any]:
        crawls = self._crawls.get(crawler["Name"], [])
        ended = [crawl for crawl in crawls if crawl.ended]
        running = self._running(crawler["Name"])
        state = "READY" if running is None else "STOPPING" if running.stopping.is_set() else "RUNNING"
        return {
            **only_set(crawler),
            "State": state,
            "CrawlElapsedTime": int(running.seconds * 1000) if running else 0,
            **({"LastCrawl": ended[-1].last_crawl()} if ended else {}),
        }

    # ------------------------------------------------------------------------------------------------ a crawl

    def _run(self, crawl: Crawl) -> None:
        name = crawl.crawler["Name"]
        common = {"accountId": ACCOUNT, "crawlerName": name}
        self._send({**common, "startTime": iso(now()), "state": "Started", "message": "Crawler Started"})
        try:
            self._catalog(crawl)
            state = "STOPPED" if crawl.stopping.is_set() else "COMPLETED"
        except (ClientError, CrawlFailed) as error:
            crawl.error, state = str(error), "FAILED"
        except Exception as error:
            logger.exception("Crawl of %s failed in the sandbox", name)
            crawl.error, state = f"The sandbox failed: {error!r}", "FAILED"
        crawl.ended = time.time()
        crawl.state = state
        link = (
            f"https://console.aws.amazon.com/cloudwatch/home?region={REGION}"
            f"#logEventViewer:group=/aws-glue/crawlers;stream={name}"
        )
        if state == "FAILED":
            message = {"errorMessage": crawl.error, "message": "Crawler Failed"}
            self._send({**common, **message, "state": "Failed", "cloudWatchLogLink": link})
        if state == "COMPLETED":  # a cancelled crawl has no event
            kinds = [f"{what}{how}" for what in ("tables", "partitions") for how in ("Created", "Updated", "Deleted")]
            self._send(
                {
                    **{kind: str(crawl.changes[kind]) for kind in kinds},
                    **common,
                    "warningMessage": "N/A",
                    "message": "Crawler Succeeded",
                    "runningTime (sec)": str(math.ceil(crawl.seconds)),
                    "completionDate": iso(now()),
                    "state": "Succeeded",
                    "cloudWatchLogLink": link,
                }
            )

    def _send(self, detail: dict[str, Any]) -> None:
        self._events.send("aws.glue", "Glue Crawler State Change", detail)

    def _catalog(self, crawl: Crawl) -> None:
        credentials = self._cloud.assume(crawl.crawler["Role"], "AWS-Crawler")
        s3, glue = self._cloud.client("s3", credentials), self._cloud.client("glue", credentials)
        files: dict[str, list[File]] = {}
        classifiers = self._classifiers(crawl.crawler)
        for target in crawl.crawler["Targets"].get("S3Targets", []):
            for file in find_files(s3, target["Path"], configuration(crawl.crawler), classifiers):
                files.setdefault(file.folder, []).append(file)
                if crawl.stopping.is_set():
                    return
        for folder, found in files.items():
            crawl.changes += catalog_table(glue, crawl.crawler, folder, of_one_format(found))

    def _classifiers(self, crawler: dict[str, Any]) -> str:
        """Returns the CSV classifiers of the crawler as JSON. Other kinds are ignored."""
        glue = self._cloud.client("glue")
        found = [glue.get_classifier(Name=name)["Classifier"] for name in crawler.get("Classifiers") or []]
        return json.dumps([each["CsvClassifier"] for each in found if "CsvClassifier" in each], default=str)


def configuration(crawler: dict[str, Any]) -> dict[str, Any]:
    return json.loads(crawler.get("Configuration") or "{}")


def find_files(s3: Any, path: str, settings: dict[str, Any], classifiers: str) -> Iterator[File]:
    """Yields the data files of a target with their tables. Files that no classifier recognizes are skipped."""
    level = settings.get("Grouping", {}).get("TableLevelConfiguration")
    bucket, prefix = split_uri(path.rstrip("/"))
    depth = level - 1 if level else len(prefix.split("/"))  # folders of the table's path; level 1 is the bucket
    for uri, etag, size in data_files(s3, path):
        *folders, _ = split_uri(uri)[1].split("/")
        if len(folders) < depth:
            logger.warning("%s is above table level %s and is skipped", uri, level)
            continue
        folder = f"s3://{'/'.join([bucket, *folders[:depth]])}/"
        partition = tuple(as_partition(name, number) for number, name in enumerate(folders[depth:]))
        content = classify(s3, uri, etag, classifiers)
        if content is None:
            logger.warning("%s is skipped: no classifier recognizes its format", uri)
            continue
        yield File(uri, size, folder, partition, content)


def as_partition(folder: str, number: int) -> tuple[str, str]:
    """Returns key and value of a folder `k=v`. Another folder is a value of partition_<number>."""
    key, equals, value = folder.partition("=")
    return (catalog_name(key), value) if equals else (f"partition_{number}", folder)


def catalog_name(text: str) -> str:
    return re.sub("[^a-z0-9_]", "_", text.lower())


@lru_cache(maxsize=CACHED_SCHEMAS)
def classify(s3: Any, uri: str, etag: str, classifiers: str) -> Recognized | None:
    bucket, key = split_uri(uri)
    content = s3.get_object(Bucket=bucket, Key=key, IfMatch=etag)["Body"].read()
    return recognize(content, json.loads(classifiers))


def of_one_format(files: list[File]) -> list[File]:
    """Returns the files in the most frequent format, because a table has one format."""
    [(most, _)] = Counter(file.content.classification for file in files).most_common(1)
    return [file for file in files if file.content.classification == most]


def merge(schemas: Iterable[Columns]) -> Columns:
    """Returns every column in order of appearance, with a type that holds the values of all files."""
    merged: Columns = {}
    for schema in schemas:
        for name, hive in schema.items():
            merged[name] = wider(merged.get(name, hive), hive)
    return merged


def catalog_table(glue: Any, crawler: dict[str, Any], folder: str, files: list[File]) -> Counter[str]:
    """Updates the table of a folder and its partitions. Returns the counts of changes, named as in the event."""
    keys = tuple(key for key, _ in files[0].partition)
    stray = [file.uri for file in files if tuple(key for key, _ in file.partition) != keys]
    if stray:
        raise CrawlFailed(f"{stray[0]} has other partition keys than {files[0].uri}")
    database = crawler["DatabaseName"]
    name = catalog_name(crawler.get("TablePrefix", "") + folder.rstrip("/").rpartition("/")[2])
    changes: Counter[str] = Counter()
    found = not_found_is_none(glue.get_table, DatabaseName=database, Name=name)
    known = found and found["Table"]
    crawled = merge(file.content.columns for file in files)
    columns = table_columns(crawler, known, crawled)
    table = {
        "Name": name,
        "Owner": "owner",
        "TableType": "EXTERNAL_TABLE",
        "Retention": 0,
        "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys],
        "StorageDescriptor": storage(crawler, folder, columns, files),
        "Parameters": parameters(crawler, files),
    }
    if known is None:
        glue.create_table(DatabaseName=database, TableInput=table)
        changes["tablesCreated"] = 1
    elif logs_only(crawler):
        table = known
    else:
        if behavior(crawler, "Tables") == "MergeNewColumns":
            table = with_new_columns(known, table)
        if definition(known) != definition(table):
            glue.update_table(DatabaseName=database, TableInput=table)
            changes["tablesUpdated"] = 1
    if keys:
        changes += catalog_partitions(glue, crawler, table, files)
    return changes


def logs_only(crawler: dict[str, Any]) -> bool:
    """Whether the crawler leaves existing tables unchanged."""
    return crawler.get("SchemaChangePolicy", {}).get("UpdateBehavior") == "LOG"


def with_new_columns(known: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    """Returns a TableInput: the known table, with the crawled columns and parameters added."""
    kept, crawled = known["StorageDescriptor"], table["StorageDescriptor"]
    serde, crawled_serde = kept.get("SerdeInfo") or {}, crawled["SerdeInfo"]
    if serde.get("SerializationLibrary") == crawled_serde["SerializationLibrary"]:
        own = crawled_serde["Parameters"]
        serde = {
            **serde,
            "Parameters": own | (serde.get("Parameters") or {}) | {k: own[k] for k in OF_THE_SCHEMA & own.keys()},
        }
    return {
        "Name": table["Name"],
        "Owner": known.get("Owner") or table["Owner"],
        "TableType": known.get("TableType") or table["TableType"],
        "Retention": known.get("Retention", 0),
        "PartitionKeys": known.get("PartitionKeys") or [],
        "StorageDescriptor": {**kept, "Columns": crawled["Columns"], "SerdeInfo": serde},
        "Parameters": (known.get("Parameters") or {}) | table["Parameters"],
    }


def definition(content: dict[str, Any]) -> tuple[Any, ...]:
    """Returns the properties whose change makes an update necessary."""
    descriptor = content["StorageDescriptor"]
    columns = [(column["Name"], column.get("Type")) for column in descriptor["Columns"]]
    return columns, descriptor.get("InputFormat"), descriptor.get("SerdeInfo")


def table_columns(crawler: dict[str, Any], table: dict[str, Any] | None, crawled: Columns) -> Columns:
    """Returns the crawled columns, or the known and the new ones, as the crawler's configuration says."""
    if table is None:
        return crawled
    known = {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]}
    if behavior(crawler, "Tables") == "MergeNewColumns":
        return known | {name: hive for name, hive in crawled.items() if name not in known}
    return crawled


def behavior(crawler: dict[str, Any], what: str) -> str | None:
    """Returns the AddOrUpdateBehavior of `Tables` or `Partitions`."""
    return configuration(crawler).get("CrawlerOutput", {}).get(what, {}).get("AddOrUpdateBehavior")


def catalog_partitions(glue: Any, crawler: dict[str, Any], table: dict[str, Any], files: list[File]) -> Counter[str]:
    database, name = crawler["DatabaseName"], table["Name"]
    by_values: dict[tuple[str, ...], list[File]] = {}
    for file in files:
        by_values.setdefault(tuple(value for _, value in file.partition), []).append(file)
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=name)
    known = {tuple(partition["Values"]): partition for page in pages for partition in page["Partitions"]}
    created, updated = [], []
    for values, members in by_values.items():
        location = members[0].uri.rpartition("/")[0] + "/"
        if behavior(crawler, "Partitions") == "InheritFromTable":
            descriptor = {**table["StorageDescriptor"], "Location": location}
        else:
            descriptor = storage(crawler, location, merge(file.content.columns for file in members), members)
        partition = {
            "Values": list(values),
            "StorageDescriptor": descriptor,
            "Parameters": parameters(crawler, members),
        }
        if values not in known:
            created.append(partition)
        elif definition(known[values]) != definition(partition):
            updated.append({"PartitionValueList": list(values), "PartitionInput": partition})
    for batch in batches(created):
        glue.batch_create_partition(DatabaseName=database, TableName=name, PartitionInputList=batch)
    for batch in batches(updated):
        glue.batch_update_partition(DatabaseName=database, TableName=name, Entries=batch)
    return Counter(partitionsCreated=len(created), partitionsUpdated=len(updated))


def batches(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), PARTITIONS_PER_CALL):
        yield items[start : start + PARTITIONS_PER_CALL]


def storage(crawler: dict[str, Any], location: str, columns: Columns, files: list[File]) -> dict[str, Any]:
    return {
        "Columns": [{"Name": name, "Type": hive} for name, hive in columns.items()],
        "Location": location,
        **files[-1].content.stored_as,
        "Compressed": files[-1].content.compression != "none",
        "NumberOfBuckets": -1,
        "BucketColumns": [],
        "SortColumns": [],
        "Parameters": parameters(crawler, files),
        "StoredAsSubDirectories": False,
    }


def parameters(crawler: dict[str, Any], files: list[File]) -> dict[str, str]:
    return {
        "CrawlerSchemaDeserializerVersion": "1.0",
        "CrawlerSchemaSerializerVersion": "1.0",
        "UPDATED_BY_CRAWLER": crawler["Name"],
        "classification": files[-1].content.classification,
        "compressionType": files[-1].content.compression,
        "objectCount": str(len(files)),
        "sizeKey": str(sum(file.bytes for file in files)),
        "typeOfData": "file",
        **files[-1].content.parameters,
    }


def now() -> datetime:
    return datetime.now(UTC)
