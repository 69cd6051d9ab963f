"""Each item is in one entity, as in a table of its own. S3 is in memory, and Spark in this process."""

import gzip
from collections import Counter
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from table_export_job import entity_files, one_pass, snapshot, staged_lines, staging
from table_export_job.attributes import Seen
from table_export_job.columns import SnapshotTable, snapshot_columns
from table_export_job.contract import NO_RULES
from table_export_job.entity_files import write_entities
from table_export_job.entity_tables import WIDE, EarlierTables, TableKey
from table_export_job.errors import PermanentError
from table_export_job.routing import Router
from table_export_job.staged_lines import RowConverter
from tests.glue.made_items import ID_TABLE, lines_of, number, seen_in
from tests.glue.random_items import snapshots
from tests.glue.test_one_pass import arguments_for, in_memory, objects, rows_of, stage
from tests.local_spark.pyspark.sql import SESSION

FIRST = EarlierTables({}, {})
JSON_RULES = arguments_for("json").format.rules


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    for module in (entity_files, one_pass, snapshot):
        monkeypatch.setattr(module, "connect", in_memory)
    yield monkeypatch
    objects.clear()


def write(files, router, earlier=FIRST, output_format="parquet"):
    return write_entities(SESSION, objects, arguments_for(output_format), files, ID_TABLE, earlier, NO_RULES, router)


def earlier_after(written):
    """What the manifest says of a snapshot."""
    names = {each.key.value: each.plan.arguments.output_prefix.rpartition("/")[2] for each in written.entities}
    tables = {}
    for key, _, plan in written.tables:
        attributes = {name: Seen.from_json(seen.to_json()) for name, seen in plan.attributes.items()}
        tables[key] = SnapshotTable(plan.columns, attributes)
    return EarlierTables(names, tables)


def rows_by_table(written):
    """The rows of each table, as lines of JSON."""
    return {
        each.key: Counter(line for file in each.files for line in rows_of(objects.content(file), "json").splitlines())
        for each in written.tables
    }


def expected_rows(items, key, router, earlier):
    """The rows of a table that has only these items."""
    placeholders = () if key == WIDE else router.placeholders(key.value)
    columns, attributes = snapshot_columns(
        seen_in(items), ID_TABLE, earlier.of(key), JSON_RULES, NO_RULES, placeholders
    )
    converter = RowConverter(columns, attributes, JSON_RULES)
    out = BytesIO()
    writer = arguments_for("json").format.writer(out, converter.schema, {})
    if items:
        for batch in converter.convert(lines_of(items)):
            writer.write(batch)
    writer.close()
    return columns, Counter(gzip.decompress(out.getvalue()).splitlines())


DISCRIMINATORS = st.sampled_from(
    [{"S": "order"}, {"S": "Order"}, {"S": "user"}, {"S": ""}, {"N": "1"}, {"NULL": True}, {"S": "audit"}, None]
)
BLOCKS = st.sampled_from(
    [
        {"by": "t"},
        {"by": "t", "types": {"order": {"name": "orders", "when": {"sk": "O#{order_id}"}}, "audit": {"omit": True}}},
        {"by": {"key": "sk", "before": "#"}},
        {"types": {"order": {"when": {"sk": "O#{order_id}"}}, "user": {"when": {"sk": "U#{name}"}, "omit": True}}},
    ]
)


@settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    history=snapshots(items=8),
    kinds=st.lists(DISCRIMINATORS, min_size=3, max_size=8),
    keys=st.lists(st.sampled_from(["O#1", "O#2", "U#x", "O", "#", ""]), min_size=3, max_size=8),
    block=BLOCKS,
    wide=st.booleans(),
    files=st.integers(1, 3),
    snapshot_files=st.integers(1, 2),
    samples=st.booleans(),
)
def test_each_item_is_in_one_entity_as_in_a_table_of_its_own(
    memory, history, kinds, keys, block, wide, files, snapshot_files, samples
):
    """Whatever earlier snapshots had, and whatever is in the sample."""
    objects.clear()
    memory.setattr(snapshot, "file_count", lambda staged_bytes, cores: snapshot_files)
    memory.setattr(staging, "BATCH_BYTES", 200)
    memory.setattr(staged_lines, "FIRST_ITEMS", 1)
    memory.setattr(one_pass, "SAMPLE_BYTES", 1)
    if not samples:
        memory.setattr(entity_files, "sample_of", lambda files, cores: [])
    router, earlier = Router(block | {"wide": wide}), FIRST
    for shift, some in enumerate(history):
        items = [with_type(item, place + shift, kinds, keys) for place, item in enumerate(some)]
        objects.clear()
        written = write(stage(*(items[start::files] for start in range(files))), router, earlier, "json")

        found, expected = rows_by_table(written), {}
        by_type = {}
        for item in items:
            value = router.type_of(item)
            by_type.setdefault(TableKey(value), []).extend(router.with_placeholders([item], value))
        kept = {key: each for key, each in by_type.items() if key.value not in router.omitted}
        tables = kept | ({WIDE: [i for i in items if router.type_of(i) not in router.omitted]} if wide else {})
        for each in written.tables:
            columns, expected[each.key] = expected_rows(tables.get(each.key, []), each.key, router, earlier)
            assert each.plan.columns == columns
        assert found == expected
        assert tables.keys() <= found.keys()
        omitted = sum(len(by_type.get(TableKey(value), [])) for value in router.omitted)
        assert sum(rows.total() for key, rows in found.items() if key != WIDE) + omitted == len(items)
        assert written.items_omitted == omitted
        earlier = earlier_after(written)


def with_type(item, place, kinds, keys):
    kind = kinds[place % len(kinds)]
    return item | ({"t": kind} if kind else {}) | {"sk": {"S": keys[place % len(keys)]}}


BY_TYPE = Router({"by": "t"})


def typed(type, count, **attributes):
    return [{"id": {"S": f"{type}-{n}"}, "t": {"S": type}, **attributes} for n in range(count)]


@pytest.fixture
def two_files(memory):
    memory.setattr(snapshot, "file_count", lambda staged_bytes, cores: 2)


@pytest.fixture
def read(monkeypatch):
    """The names of the staged files in the order in which tasks read them, without the sample."""
    found, read_staged = [], entity_files.read_staged

    def note(s3, files, parse):
        if parse is not bytes:
            found.extend(file.uri.rpartition("/")[2] for file in files)
        return read_staged(s3, files, parse)

    monkeypatch.setattr(entity_files, "read_staged", note)
    return found


def items_of(written):
    return {each.key.value: [file.items for file in each.files] for each in written.entities}


def test_all_is_read_once_if_a_sample_has_everything(two_files, read):
    written = write(stage(typed("a", 3) + typed("b", 2), typed("a", 4)), BY_TYPE)

    assert items_of(written) == {"a": [3, 4], "b": [2]}
    assert read == ["0", "1"]
    assert objects.aborted == []


def test_a_type_that_was_not_expected_is_written_from_the_files_that_have_it(two_files, read, monkeypatch):
    monkeypatch.setattr(entity_files, "sample_of", lambda files, cores: [])
    earlier = earlier_after(write(stage(typed("a", 1)), BY_TYPE))
    objects.clear()
    read.clear()

    written = write(stage(typed("a", 3), typed("a", 4) + typed("b", 2)), BY_TYPE, earlier)

    assert items_of(written) == {"a": [3, 4], "b": [2]}
    assert read == ["0", "1", "1"]
    assert objects.aborted == []
    assert len(objects.uploads) == 3


def test_only_the_entity_that_needs_another_column_is_written_again(two_files, read, monkeypatch):
    first = write(stage(typed("a", 1, x=number("1")), typed("b", 1)), BY_TYPE)
    earlier = earlier_after(first)
    objects.clear()
    read.clear()
    items = typed("a", 300, x=number("1")) + typed("b", 300), typed("a", 300, x=number("1")) + typed("b", 2)
    items[1][150]["x"] = {"S": "one"}
    monkeypatch.setattr(one_pass, "SAMPLE_BYTES", 1)

    written = write(stage(*items), BY_TYPE, earlier)

    assert items_of(written) == {"a": [300, 300], "b": [300, 2]}
    assert {each.key.value: [column.name for column in each.plan.columns] for each in written.tables} == {
        "a": ["id", "t", "x", "x_2"],
        "b": ["id", "t"],
    }
    assert read == ["0", "1", "0", "1"]
    assert [key.split("/")[1] for key in objects.aborted] == ["snapshots_a"]
    assert len(objects.uploads) == 4


def test_a_name_does_not_depend_on_the_sample(two_files, monkeypatch):
    """A value that needs no change keeps its name, also if only the other value was in the sample."""
    monkeypatch.setattr(entity_files, "sample_of", lambda files, cores: files[:1])

    written = write(stage(typed("Order", 2), typed("order", 3)), BY_TYPE)

    names = {each.key.value: each.plan.arguments.output_prefix.rpartition("/")[2] for each in written.tables}
    assert names == {"order": "snapshots_order", "Order": "snapshots_order_2"}
    assert items_of(written) == {"order": [3], "Order": [2]}
    assert {file.uri.split("/")[4] for each in written.tables for file in each.files} == {*names.values()}


def test_a_task_creates_no_file_for_each_of_too_many_types(two_files, monkeypatch):
    made = []
    monkeypatch.setattr(entity_files, "sample_of", lambda files, cores: [])
    monkeypatch.setattr(entity_files.pa, "output_stream", lambda *given, **options: made.append(given))
    items = [{"id": {"S": f"{n}"}, "t": {"S": f"{n}"}} for n in range(500)]

    with pytest.raises(PermanentError, match="more than 100 entities"):
        write(stage(items), BY_TYPE)

    assert made == []
