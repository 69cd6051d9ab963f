"""Conversion in one pass writes what conversion in two passes writes. S3 is in memory, and Spark in this process."""

import base64
import gzip
import hashlib
import io
import json
from copy import deepcopy
from itertools import count
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from table_export_job import one_pass, snapshot, staged_lines, staging
from table_export_job.arguments import JobArguments
from table_export_job.attributes import Seen
from table_export_job.columns import SnapshotTable, snapshot_columns
from table_export_job.contract import NO_RULES, Contract
from table_export_job.errors import PermanentError
from table_export_job.hashing import Hasher
from table_export_job.one_pass import write_as_expected
from table_export_job.snapshot import write_snapshot
from table_export_job.staging import StagedFile
from table_export_job.types import TypeRules
from tests.glue.made_items import ID_TABLE, NULL, lines_of, number, seen_in
from tests.glue.random_items import ATTRIBUTES, snapshots
from tests.local_spark.pyspark.sql import SESSION, TaskError

NOTHING, ANY = SnapshotTable([], {}), TypeRules()


class S3:
    """Objects, and uploads that are not completed."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.objects, self.uploads, self.aborted = {}, {}, []
        self._numbers = count(1)

    def get_object(self, Bucket, Key):
        return {"Body": io.BytesIO(self.objects[Key])}

    def create_multipart_upload(self, Bucket, Key):
        upload = f"{next(self._numbers)}"
        self.uploads[upload] = (Key, [])
        return {"UploadId": upload}

    def upload_part(self, Bucket, Key, UploadId, PartNumber, Body):
        self.uploads[UploadId][1].append(Body)
        return {"ETag": "x"}

    def get_paginator(self, operation):
        assert operation == "list_multipart_uploads"
        found = [{"Key": key, "UploadId": upload} for upload, (key, _) in self.uploads.items()]
        return mock.Mock(
            paginate=lambda Bucket, Prefix: [{"Uploads": [each for each in found if each["Key"].startswith(Prefix)]}]
        )

    def abort_multipart_upload(self, Bucket, Key, UploadId):
        self.aborted.append(self.uploads.pop(UploadId)[0])

    def content(self, file):
        return b"".join(self.uploads[file.upload_id][1])


def in_memory(service, region=None):
    return objects


objects = S3()


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    for module in (one_pass, snapshot):
        monkeypatch.setattr(module, "connect", in_memory)
    yield monkeypatch
    objects.clear()


def arguments_for(output_format="parquet"):
    return JobArguments(
        table_name="Reviews",
        read_percentage=1.0,
        read_capacity_cap=0.0,
        read_mode="export",
        table_export="s3://b/staging/manifest-summary.json",
        output_format=output_format,
        output_prefix="s3://b/snapshots",
        snapshot_timestamp="2026-11-23T02-00-07Z",
        export_id="e1",
        staging_prefix="s3://b/staging",
        manifest="s3://b/manifests/2026-11-23T02-00-07Z.json",
        columns="-",
        hash_secret="-",
    )


def stage(*groups, contract=NO_RULES):
    """A staged file for each of these lists of items. Longer lists come later."""
    files = []
    for items in groups:
        key, content = f"staging/{len(files)}", gzip.compress(lines_of(items))
        objects.objects[key] = content
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        files.append(StagedFile(f"s3://b/{key}", len(items), len(files), md5, contract))
    return files


def table_after(*earlier, rules, contract=NO_RULES):
    """The snapshot table after snapshots of these items, as the manifest has it."""
    table = NOTHING
    for items in deepcopy(earlier):
        contract.apply(items)
        columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, table, rules, contract)
        attributes = {name: Seen.from_json(seen.to_json()) for name, seen in attributes.items()}
        table = SnapshotTable(columns, attributes, contract.hashed_paths)
    return table


def convert(files, earlier=NOTHING, output_format="parquet", contract=NO_RULES):
    """The columns, the attributes as in the manifest, and the content of each file by name."""
    written = write_as_expected(SESSION, objects, arguments_for(output_format), files, ID_TABLE, earlier, contract)
    return described(written.columns, written.attributes, written.files, output_format)


def convert_in_two_passes(files, items, earlier, output_format, contract=NO_RULES):
    arguments, items = arguments_for(output_format), deepcopy(items)
    contract.apply(items)
    columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, earlier, arguments.format.rules, contract)
    written = write_snapshot(SESSION, arguments, files, columns, attributes, earlier, contract)
    return described(columns, attributes, written, output_format)


def described(columns, attributes, files, output_format):
    contents = {file.uri: (file.items, rows_of(objects.content(file), output_format)) for file in files}
    assert len(contents) == len(files) == len({file.upload_id for file in files})
    known = {name: json.dumps(seen.to_json()) for name, seen in attributes.items()}  # fields are in order
    return columns, known, contents


def rows_of(content, output_format):
    if output_format == "avro":
        import fastavro

        return list(fastavro.reader(io.BytesIO(content)))
    return content if output_format == "parquet" else gzip.decompress(content)


@settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    history=snapshots(items=8),
    keeps=st.booleans(),
    files=st.integers(1, 4),
    snapshot_files=st.integers(1, 3),
    part_bytes=st.sampled_from([100, 400, 10_000]),
    first_items=st.integers(1, 3),
)
@pytest.mark.parametrize(
    "output_format", ["parquet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("json", "csv", "avro"))]
)
def test_it_writes_what_two_passes_write(
    memory, output_format, history, keeps, files, snapshot_files, part_bytes, first_items
):
    """Whatever the latest manifest expects, and whatever is in the sample."""
    objects.clear()
    memory.setattr(snapshot, "file_count", lambda staged_bytes, cores: snapshot_files)
    memory.setattr(staging, "BATCH_BYTES", part_bytes)
    memory.setattr(staged_lines, "FIRST_ITEMS", first_items)
    memory.setattr(staged_lines, "BATCH_CELLS", 20)
    memory.setattr(one_pass, "SAMPLE_BYTES", 1)
    memory.setattr(one_pass, "SAMPLED_FILES", 1)
    *before, items = history
    before += [items[::2]] if keeps else []
    earlier = table_after(*before, rules=arguments_for(output_format).format.rules)
    staged = stage(*(items[start::files] for start in range(files)))

    found = convert(staged, earlier, output_format)

    assert len(objects.uploads) == snapshot_files
    assert found == convert_in_two_passes(staged, items, earlier, output_format)


RULES = st.sampled_from(
    [
        {"omit": True},
        {"hash": "sha256"},
        {"map": True},
        {"as": "timestamp", "from": "epoch_s"},
        {"as": "decimal(20,1)"},
        {"as": "double"},
        {"as": "boolean"},
        {"as": "string"},
        {"as": "json"},
        {"name": "named"},
    ]
)


def any_map(history):
    """Whether there is a map, which cannot be hashed."""
    return any('"M"' in json.dumps(item) for items in history for item in items)


@settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    history=snapshots(items=8),
    declared=st.sets(st.sampled_from(ATTRIBUTES), min_size=1, max_size=3),
    rules=st.lists(RULES, min_size=3, max_size=3, unique_by=str),
    declared_before=st.booleans(),
    files=st.integers(1, 4),
)
def test_it_writes_the_same_with_a_column_contract(memory, history, declared, rules, declared_before, files):
    """Whether earlier snapshots had the contract or not."""
    objects.clear()
    memory.setattr(snapshot, "file_count", lambda staged_bytes, cores: 2)
    memory.setattr(staging, "BATCH_BYTES", 100)
    memory.setattr(staged_lines, "FIRST_ITEMS", 1)
    memory.setattr(one_pass, "SAMPLE_BYTES", 1)
    memory.setattr(one_pass, "SAMPLED_FILES", 1)
    rules = [rule for rule in rules if "hash" not in rule or not any_map(history)] + [{"as": "json"}] * 3
    contract = Contract(dict(zip(sorted(declared), rules, strict=False)), hasher=Hasher("k" * 32))
    *before, items = history
    earlier = table_after(*before, rules=ANY, contract=contract if declared_before else NO_RULES)
    staged = stage(*(items[start::files] for start in range(files)), contract=contract)

    found = convert(staged, earlier, contract=contract)

    assert found == convert_in_two_passes(staged, items, earlier, "parquet", contract)


REVIEWS = [{"id": {"S": f"{n}"}, "stars": number("5")} for n in range(6)]


@pytest.fixture
def two_files(memory):
    memory.setattr(snapshot, "file_count", lambda staged_bytes, cores: 2)
    memory.setattr(one_pass, "SAMPLE_BYTES", 1)


@pytest.fixture
def written_again(monkeypatch):
    """The numbers of the files that were written again."""
    found, write = [], one_pass.write_groups

    def note(spark, arguments, groups, *given):
        found.extend(group.number for group in groups)
        return write(spark, arguments, groups, *given)

    monkeypatch.setattr(one_pass, "write_groups", note)
    return found


def columns_of(found):
    return {column.name: column.type for column in found[0]}


def test_nothing_is_written_again_if_all_attributes_are_known(two_files, written_again):
    convert(stage(REVIEWS[:3], REVIEWS[3:]), table_after(REVIEWS[:1], rules=arguments_for().format.rules))

    assert written_again == objects.aborted == []


def test_nothing_is_written_again_at_first_if_a_sample_has_all_attributes(two_files, written_again):
    found = convert(stage(REVIEWS[:3], REVIEWS[3:]))

    assert columns_of(found) == {"id": "string", "stars": "bigint"}
    assert written_again == objects.aborted == []


def test_what_is_known_of_an_attribute_may_change_while_its_column_does_not(two_files, written_again):
    items = [*REVIEWS[:5], {"id": {"S": "5"}, "stars": number("123456"), "text": NULL}]
    earlier = table_after(
        [{"id": {"S": "0"}, "stars": number("1"), "text": {"S": "x"}}], rules=arguments_for().format.rules
    )

    found = convert(stage(items[:3], items[3:]), earlier)

    assert json.loads(found[1]["stars"]) == {"kinds": ["N"], "digits": 6}
    assert json.loads(found[1]["text"]) == {"kinds": ["NULL", "S"]}
    assert written_again == objects.aborted == []


@pytest.mark.parametrize(
    ("value", "type"),
    [
        ({"stars": number("4.5")}, "decimal(38,1)"),
        ({"stars": number("9223372036854775808")}, "decimal(38,0)"),
        ({"stars": {"S": "five"}}, "string"),
        ({"stars": {"L": [number("5")]}}, "string"),
    ],
)
def test_all_files_are_written_again_if_one_item_needs_another_column(two_files, written_again, value, type):
    items = [*REVIEWS[:5], {"id": {"S": "5"}, **value}]

    found = convert(stage(items[:3], items[3:]), table_after(REVIEWS, rules=arguments_for().format.rules))

    assert columns_of(found) == {"id": "string", "stars": "bigint", "stars_2": type}
    assert written_again == [0, 1]
    assert [key.rpartition("/")[2] for key in objects.aborted] == ["part-00000.zstd.parquet"]
    assert len(objects.uploads) == 2


def test_only_some_files_are_written_again_if_the_columns_stay(two_files, written_again):
    """An attribute that was always NULL is text, and so is one that has numbers and text."""
    items = [{"id": {"S": f"{n}"}, "note": NULL} for n in range(6)]
    earlier = table_after(items, rules=arguments_for().format.rules)
    items[2]["note"], items[5]["note"] = number("5"), {"S": "x"}

    found = convert(stage(items[:3], items[3:]), earlier)

    assert columns_of(found) == {"id": "string", "note": "string"}
    assert written_again == [0]
    assert objects.aborted == []
    assert found == convert_in_two_passes(stage(items[:3], items[3:]), items, earlier, "parquet")


def test_an_attribute_that_most_items_have_is_expected_because_of_the_sample(two_files, written_again):
    items = [item | {"new": {"S": "x"}} for item in REVIEWS]

    found = convert(stage(items[:3], items[3:]), table_after(REVIEWS, rules=arguments_for().format.rules))

    assert "new" in columns_of(found)
    assert written_again == []


def test_a_damaged_file_is_noticed_although_the_sample_is_intact(two_files):
    files = stage(REVIEWS[:3], REVIEWS[3:])
    objects.objects["staging/1"] = objects.objects["staging/1"][:-8] + b"12345678"

    with pytest.raises(TaskError, match="The staged file s3://b/staging/1 is damaged"):
        convert(files)


def test_an_avro_schema_that_the_catalog_cannot_hold_fails_before_files_are_written():
    items = [{"id": {"S": "1"}} | {f"{m}".rjust(250, "a"): {"S": "x"} for m in range(1800)}]

    with pytest.raises(PermanentError, match="The Avro schema of 1801 columns"):
        convert(stage(items), output_format="avro")

    assert objects.uploads == {}


def test_a_table_export_without_items_has_the_columns_of_the_keys():
    found = convert([])

    assert columns_of(found) == {"id": "string"}
    assert [items for items, _ in found[2].values()] == [0]


@pytest.mark.parametrize("output_format", ["parquet", "avro", "csv"])
@pytest.mark.parametrize("first", [0, 5], ids=["in all items", "in the last item only"])
def test_the_first_snapshot_may_omit_all_key_attributes(two_files, first, output_format):
    """Neither the key attributes nor a sample of the items tell of any column."""
    items = [{"id": {"S": f"{n}"}} | ({"x": number("1")} if n >= first else {}) for n in range(6)]
    contract = Contract({"id": {"omit": True}})
    files = stage(items[:3], items[3:], contract=contract)

    found = convert(files, output_format=output_format, contract=contract)

    assert list(columns_of(found)) == ["x"]
    assert found == convert_in_two_passes(files, items, NOTHING, output_format, contract)


def test_a_contract_that_omits_everything_is_refused(two_files):
    contract = Contract({"id": {"omit": True}, "stars": {"omit": True}})

    with pytest.raises(PermanentError, match="Columns omits all attributes"):
        convert(stage(REVIEWS[:3], REVIEWS[3:], contract=contract), contract=contract)


@pytest.mark.parametrize("output_format", ["parquet", "avro"])
def test_fields_are_not_confused_if_their_names_are_in_another_order_than_their_attributes(two_files, output_format):
    """In the order of names, é is the last field. In the order of Avro's names, it is the first: `_`."""
    fields = {"é": {"S": "e"}, "a b": {"S": "space"}, "a_b": {"S": "underscore"}, "c": {"S": "c"}}
    items = [{"id": {"S": f"{n}"}, "m": {"M": fields}} for n in range(6)]
    files = stage(items[:3], items[3:])

    found = convert(files, output_format=output_format)

    assert found == convert_in_two_passes(files, items, NOTHING, output_format)
