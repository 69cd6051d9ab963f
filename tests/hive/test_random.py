"""Hive's SerDes find what the job's writers wrote, whatever that is. No AWS."""

import pytest
from examples import a_manifest, an_export
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from table_export_job.columns import SnapshotTable, arrow_schema, snapshot_columns
from table_export_job.formats import FORMATS
from table_export_job.staged_lines import RowConverter
from table_exports.domain.catalog import partition_input, table_input
from tests.glue.made_items import ID_TABLE, lines_of, seen_in
from tests.glue.random_items import snapshots
from tests.trino.history import PARTITION, History
from tests.trino.lake import timestamp_of

pytestmark = pytest.mark.slow

EXAMPLES = 100  # of each format


class LocalSnapshots:
    """Snapshot files in a folder, and the table and partitions of the catalog that they would have."""

    def __init__(self, folder, output_format, snapshots):
        self.partitions, self.files = [], []
        self._folder, self._format = folder, output_format
        self._known = SnapshotTable([], {})
        for number, items in enumerate(snapshots):
            self._add(timestamp_of(number + 1), items)

    def _add(self, timestamp, items):
        form = FORMATS[self._format]
        columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, self._known, form.rules)
        serde_parameters = form.serde_parameters(arrow_schema(columns), self._known.serde_parameters)
        self._known = SnapshotTable(columns, attributes, serde_parameters=serde_parameters)
        rows = RowConverter(columns, attributes, form.rules)
        path = self._folder / f"{timestamp}{form.suffix}"
        with path.open("wb") as file:
            writer = form.writer(file, rows.schema, serde_parameters)
            for batch in rows.convert(lines_of(items)) if items else []:
                writer.write(batch)
            writer.close()
        export = an_export(output_format=self._format)
        manifest = a_manifest(
            *(column[:3] for column in columns), output_format=self._format, serde_parameters=serde_parameters
        )
        self.table = table_input(export, manifest, None)
        self.partitions.append(partition_input(export, manifest, timestamp, None))
        self.files.append(path)

    def read(self, hive, by):
        """The columns' types and all rows, as tests/hive/test_values.py reads them from the sandbox."""
        rows = []
        for partition, file in zip(self.partitions, self.files, strict=True):
            found = hive.rows(self.table, self.table if by == "table" else partition, [file])
            rows += [row | {PARTITION: partition["Values"][0]} for row in found]
        return hive.types(self.table) | {PARTITION: "varchar"}, rows


a_number_of_times = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@a_number_of_times
@given(items=snapshots())
@pytest.mark.parametrize("by", ["table", "partition"])
def test_every_value_is_found(hive, output_format, tmp_path, by, items):
    history = History(output_format, items)

    history.check_snapshots(*LocalSnapshots(tmp_path, output_format, items).read(hive, by))


names = st.text(min_size=1, max_size=8) | st.text(
    st.sampled_from("aA_-1 \u0131\u0130\U00010400\U0001d538"), min_size=1, max_size=3
)


@a_number_of_times
@given(names=st.sets(names, min_size=1, max_size=20))
def test_every_attribute_has_a_column_and_a_field_of_its_own(hive, output_format, tmp_path, names):
    written = {name: {"S": f"value of {name!r}"} for name in sorted(names - {"id", "inner"})}
    items = [{"id": {"S": "1"}, **written, "inner": {"M": written}}]
    shown = [content["S"] for content in written.values()]

    _, [row] = LocalSnapshots(tmp_path, output_format, [items]).read(hive, by="table")

    fields = row.pop("inner")
    assert sorted(row.values()) == sorted([*shown, "1", timestamp_of(1)])
    if output_format != "csv":
        assert sorted(fields.values()) == sorted(shown)
