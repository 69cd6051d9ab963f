"""Staged files: gzipped DynamoDB JSON lines in S3, in the form of DynamoDB's own exports, with counts and checksums."""

import base64
import gc
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson

from table_export_job.attributes import Attributes, Item, merge, observe
from table_export_job.contract import NO_RULES, Contract
from table_export_job.errors import ExportFailed
from table_export_job.s3 import bucket_and_key, put

MB = 1024 * 1024
STAGED_FILE_BYTES = 16 * MB  # gzipped: a task that reads the table holds this much in memory
BATCH_BYTES = 8 * MB  # of lines that are read at once


class StagedFile(NamedTuple):
    """One object of gzipped DynamoDB JSON lines."""

    uri: str
    items: int
    bytes: int
    md5: str  # of its content, in base64
    contract: Contract = NO_RULES  # that is applied whenever the file is read


class StagedItems(NamedTuple):
    """The items of a table, or of one segment of it, as staged files."""

    items_counted: int  # by DynamoDB
    read_capacity_units: float
    files: list[StagedFile]
    attributes: Attributes
    hot_share: float | None = None  # of a segment that has far more than the others: 0 for none. Known of scans

    def with_more(self, other: "StagedItems") -> "StagedItems":
        """Both together. Attributes are merged into those of this one."""
        return StagedItems(
            self.items_counted + other.items_counted,
            self.read_capacity_units + other.read_capacity_units,
            self.files + other.files,
            merge(self.attributes, other.attributes),
        )


class SegmentWriter:
    """Writes the pages of one segment to staged files of bounded size, and may observe the attributes on the way.

    The names of the files depend on the segment and the round only. So what a failed attempt of the task left is
    overwritten, or is not part of the result.
    """

    def __init__(self, s3: Any, prefix: str, contract: Contract = NO_RULES, *, observes: bool = True) -> None:
        self._s3, self._prefix, self._contract, self._observes = s3, prefix, contract, observes
        self._counted, self._units, self._files, self._attributes = 0, 0.0, [], {}
        self._open()

    def _open(self) -> None:
        self._items, self._content = 0, io.BytesIO()
        self._lines = gzip.GzipFile(fileobj=self._content, mode="wb", compresslevel=1, mtime=0)

    def add(self, page: dict[str, Any]) -> None:
        items = page["Items"]
        self._contract.apply(items)
        self._lines.write(b"".join(orjson.dumps({"Item": item}, option=orjson.OPT_APPEND_NEWLINE) for item in items))
        if self._observes:
            observe(items, self._attributes)
        self._items += len(items)
        self._counted += page["Count"]
        self._units += page["ConsumedCapacity"]["CapacityUnits"]
        if self._content.tell() >= STAGED_FILE_BYTES:
            self._put()
            self._open()

    def _put(self) -> None:
        self._lines.close()
        content = self._content.getvalue()
        file = StagedFile(
            f"{self._prefix}-{len(self._files):05d}.json.gz", self._items, len(content), as_base64(hashlib.md5(content))
        )
        put(self._s3, file.uri, content)
        self._files.append(file)

    def close(self) -> StagedItems:
        if self._items:
            self._put()
        return StagedItems(self._counted, self._units, self._files, self._attributes)


def read_staged(s3: Any, files: Iterable[StagedFile], parse: Callable[[bytes], Any]) -> Iterator[Any]:
    """The results of `parse` for the lines of staged files, some megabytes at a time.

    Raises ExportFailed if a file is not as it was staged.
    """
    for file in files:
        count = 0
        content = HashedBody(s3.get_object(**bucket_and_key(file.uri))["Body"])
        try:
            for lines in whole_lines(content):
                count += lines.count(b"\n")
                yield parse(file.contract.apply_to_lines(lines) if file.contract.changes_items else lines)
        except (EOFError, gzip.BadGzipFile, zlib.error, ValueError, KeyError) as error:
            raise ExportFailed(f"The staged file {file.uri} is damaged ({error}). Run the export again.") from error
        if count != file.items:
            raise ExportFailed(
                f"{file.uri} was staged with {file.items} items, but holds {count}. Run the export again."
            )
        if content.md5 != file.md5:
            raise ExportFailed(f"The staged file {file.uri} is damaged (its checksum differs). Run the export again.")


def whole_lines(packed: io.RawIOBase) -> Iterator[bytes]:
    """The lines of a gzipped file in parts of some megabytes. Each part ends at the end of a line."""
    with gzip.GzipFile(fileobj=io.BufferedReader(packed, MB)) as file:
        yield from lines_in_parts(file)


def lines_in_parts(file: Any) -> Iterator[bytes]:
    """The same for a file that is not gzipped."""
    rest = b""
    while part := file.read(BATCH_BYTES):
        ended = part.rfind(b"\n") + 1
        if ended:
            yield rest + part[:ended]
            rest = part[ended:]
        else:
            rest += part
    if rest:
        yield rest + b"\n"


def items_of(lines: bytes) -> list[Item]:
    return [orjson.loads(line)["Item"] for line in lines.splitlines()]


class HashedBody(io.RawIOBase):
    """The body of an S3 object as a stream that computes its checksum."""

    def __init__(self, body: Any) -> None:
        self._body, self._md5 = body, hashlib.md5()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._body.read(len(buffer))
        self._md5.update(data)
        buffer[: len(data)] = data
        return len(data)

    @property
    def md5(self) -> str:
        """Of the whole body: reads the rest of it."""
        while self.read(MB):
            pass
        return as_base64(self._md5)


def as_base64(md5: Any) -> str:
    return base64.b64encode(md5.digest()).decode()


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Items are trees without cycles, and so many that the search for cycles would take most of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
