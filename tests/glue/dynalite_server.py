"""A DynamoDB that reports truly what a reader consumed: Dynalite, behind a proxy that keeps count and can misbehave.

And what reads it in one process, on a clock of its own: threads for Spark's tasks.
"""

import heapq
import http.client
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import boto3
import pytest

from tests.dynalite import dynalite


class Page(NamedTuple):
    """What DynamoDB answered to one Scan request."""

    at: float
    segment: int
    units: float
    count: int
    items: list[dict[str, Any]]


class Answer(NamedTuple):
    status: int
    body: bytes
    promised_bytes: int | None = None  # by the header, where these are not as many
    checksum: int | None = None  # where it is not the body's

    def changed(self, **fields: Any) -> "Answer":
        """The same with some fields of its JSON changed."""
        return Answer(self.status, json.dumps(json.loads(self.body) | fields).encode())


def refusal(code: str, message: str) -> Answer:
    return Answer(400, json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}).encode())


THROTTLED = refusal("ProvisionedThroughputExceededException", "The level of configured throughput was exceeded")
UNCOUNTED = refusal("ValidationException", "Dynalite counts consistent reads as if they were eventually consistent")
DROPPED = None  # the connection ends with no answer

Ask = Callable[[], Answer]  # hands the request on to Dynalite, which counts as read from then on


class Endpoint:
    """The proxy. `on_scan` may answer a Scan in its own way: it has the request, and what hands it on."""

    def __init__(self, dynalite_url: str) -> None:
        self._host = urlsplit(dynalite_url).netloc
        self._sizes: dict[str, tuple[int, int]] = {}
        self.direct = boto3.client("dynamodb", endpoint_url=dynalite_url)
        self.reset()

    def reset(self) -> None:
        self.pages: list[Page] = []
        self.requests: list[tuple[str, str]] = []  # operation and table
        self.clock: Callable[[], float] = time.monotonic
        self.on_scan: Callable[[dict[str, Any], Ask], Answer | None] = lambda request, ask: ask()
        self.described: dict[str, Any] = {}  # what DescribeTable says beside

    def load(self, name: str, items: Iterable[dict[str, str]], keys: Iterable[str] = ("id",), **settings: Any) -> None:
        """Make a table of these items, whose attributes are all text. From now on DescribeTable knows its size."""
        self.direct.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[
                {"AttributeName": key, "KeyType": role} for key, role in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            **settings or {"ProvisionedThroughput": {"ReadCapacityUnits": 1000, "WriteCapacityUnits": 1000}},
        )
        while self.direct.describe_table(TableName=name)["Table"]["TableStatus"] != "ACTIVE":
            time.sleep(0.01)
        items = list(items)
        self._sizes[name] = sum(map(item_bytes, items)), len(items)
        puts = [
            {"PutRequest": {"Item": {attribute: {"S": text} for attribute, text in item.items()}}} for item in items
        ]
        while puts:
            self.direct.batch_write_item(RequestItems={name: puts[:25]})
            del puts[:25]

    def answer(self, headers: Any, body: bytes) -> Answer | None:
        operation, request = headers["X-Amz-Target"].partition(".")[2], json.loads(body)
        self.requests.append((operation, request.get("TableName", "")))
        if operation == "Scan":
            return self.on_scan(request, lambda: self._scan(headers, body, request))
        answer = self._ask(headers, body)
        if operation == "DescribeTable" and answer.status == 200:
            table = json.loads(answer.body)["Table"]
            table["TableSizeBytes"], table["ItemCount"] = self._sizes[request["TableName"]]
            return answer.changed(Table=table | self.described)
        return answer

    def _scan(self, headers: Any, body: bytes, request: dict[str, Any]) -> Answer:
        answer = UNCOUNTED if request.get("ConsistentRead") else self._ask(headers, body)
        if answer.status == 200:
            page = json.loads(answer.body)
            units = page["ConsumedCapacity"]["CapacityUnits"]
            self.pages.append(Page(self.clock(), request.get("Segment", 0), units, page["Count"], page["Items"]))
        return answer

    def _ask(self, headers: Any, body: bytes) -> Answer:
        connection = http.client.HTTPConnection(self._host)
        try:
            connection.request("POST", "/", body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, response.read())
        finally:
            connection.close()


def item_bytes(item: dict[str, str]) -> int:
    """As DynamoDB counts: the names and the values."""
    return sum(len(attribute.encode()) + len(text.encode()) for attribute, text in item.items())


@contextmanager
def serving(endpoint: Endpoint) -> Iterator[str]:
    """The endpoint's own address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            answer = endpoint.answer(self.headers, self.rfile.read(int(self.headers["Content-Length"])))
            if answer is None or answer.promised_bytes is not None:
                self.close_connection = True
            if answer is None:
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            checksum = zlib.crc32(answer.body) if answer.checksum is None else answer.checksum
            self.send_header("x-amz-crc32", str(checksum))
            self.send_header("Content-Length", str(answer.promised_bytes or len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield "http://{}:{}".format(*server.server_address)
        server.shutdown()
        thread.join()


class Clock:
    """Time that passes at once, and only when all readers sleep: nothing but sleeping takes time."""

    def __init__(self) -> None:
        self._now, self._awake, self._wakes, self._changed = 1000.0, 0, [], threading.Condition()

    def __call__(self) -> float:
        return self._now

    def wake(self, readers: int) -> None:
        self._awake = readers

    def leave(self) -> None:
        with self._changed:
            self._awake -= 1
            self._pass()

    def sleep(self, seconds: float) -> None:
        with self._changed:
            end = self._now + seconds
            heapq.heappush(self._wakes, end)
            self._awake -= 1
            self._pass()
            self._changed.wait_for(lambda: self._now >= end)

    def _pass(self) -> None:
        if not self._awake and self._wakes:
            self._now = self._wakes[0]
            while self._wakes and self._wakes[0] <= self._now:
                heapq.heappop(self._wakes)
                self._awake += 1
            self._changed.notify_all()


class Threads:
    """As much of a Spark session as the job needs, with a thread for every task."""

    def __init__(self, cores: int, clock: Clock | None = None) -> None:
        self.sparkContext, self.defaultParallelism, self._clock = self, cores, clock

    def parallelize(self, data: Iterable[Any], _slices: int) -> "Tasks":
        return Tasks(list(data), lambda part: part, self._clock)


class Tasks(NamedTuple):
    data: list[Any]
    task: Callable[[Any], Any]
    clock: Clock | None

    def map(self, task: Callable[[Any], Any]) -> "Tasks":
        return self._replace(task=task)

    def collect(self) -> list[Any]:
        if self.clock:
            self.clock.wake(len(self.data))
        with ThreadPoolExecutor(max_workers=len(self.data)) as threads:
            return list(threads.map(self._run, self.data))

    def _run(self, part: Any) -> Any:
        try:
            return self.task(part)
        finally:
            if self.clock:
                self.clock.leave()


@pytest.fixture(scope="module")
def dynamodb_server(environment):
    """DynamoDB is Dynalite behind the proxy; the rest of AWS is as it was."""
    with dynalite() as url, pytest.MonkeyPatch.context() as patch:
        endpoint = Endpoint(url)
        with serving(endpoint) as address:
            patch.setenv("AWS_ENDPOINT_URL_DYNAMODB", address)
            yield endpoint


@pytest.fixture
def endpoint(dynamodb_server):
    dynamodb_server.reset()
    return dynamodb_server
