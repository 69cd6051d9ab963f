"""A view that Athena's engine has written is known as ours by its query, and by nothing else that survives it."""

import pytest
from examples import an_export

from sandbox.trino.client import TrinoError
from table_exports.aws.glue import Glue
from table_exports.domain.errors import PermanentError
from table_exports.domain.view_sql import create_view
from tests.trino.history import History, keep
from tests.trino.lake import DATABASE, timestamp_of

pytestmark = pytest.mark.slow

ITEMS = [
    {"id": {"S": "1"}, "where": {"S": "x"}, 'say "FROM"': {"N": "1"}, "価格": {"N": "2.5"}, "Größe": {"BOOL": True}}
]


@pytest.fixture(scope="module")
def catalog(lake):
    return Glue(lake.glue, lambda: lake.glue, DATABASE)


def names(name):
    return an_export(catalog_name=name, output_prefix=f"s3://lake/exports/snapshots_{name}")


def test_a_view_of_ours_is_known_in_the_layout_of_the_engine(lake, catalog):
    keep(lake, "owned", History("parquet", [ITEMS, [ITEMS[0] | {"where": {"N": "1"}}]]))

    assert catalog.shown_snapshot("owned") == timestamp_of(2)
    catalog.ensure_own_names(names("owned"))


@pytest.mark.parametrize("query", ["SELECT 1 x", "SELECT id, count(*) n FROM snapshots_taken GROUP BY id"])
def test_a_view_of_someone_else_is_found_and_free_for_us_when_it_is_dropped(lake, catalog, query):
    if "taken" not in lake._items:
        lake.make_table("taken", id="S")
    lake.write("taken", ITEMS)
    manifest = lake.snapshot("taken", "taken", "parquet", 1)
    lake.query("DROP VIEW taken")
    lake.query(f"CREATE VIEW taken AS {query}")

    with pytest.raises(PermanentError, match=r"view .*taken is not a view of snapshots_taken"):
        catalog.ensure_own_names(names("taken"))

    lake.query("DROP VIEW taken")
    catalog.ensure_own_names(names("taken"))
    lake.query(create_view(names("taken"), DATABASE, manifest.view_columns))
    catalog.ensure_own_names(names("taken"))


def test_a_comment_and_a_table_parameter_do_not_survive_the_engine(lake, catalog):
    """They cannot mark a view as ours."""
    lake.query("CREATE VIEW noted AS /* first */ SELECT 1 x -- last")
    found = lake.glue.get_table(DatabaseName=DATABASE, Name="noted")["Table"]
    given = {name: found[name] for name in ("Name", "TableType", "StorageDescriptor", "ViewOriginalText")}
    parameters = found["Parameters"] | {"owned_by": "table-exports"}
    lake.glue.update_table(DatabaseName=DATABASE, TableInput=given | {"Owner": "hadoop", "Parameters": parameters})

    lake.query("CREATE OR REPLACE VIEW noted AS /* first */ SELECT 2 x -- last")

    [(sql,)] = lake.query("SHOW CREATE VIEW noted").rows
    assert "first" not in sql
    assert "last" not in sql
    after = lake.glue.get_table(DatabaseName=DATABASE, Name="noted")["Table"]
    assert "owned_by" not in after["Parameters"]


def test_the_engine_itself_does_not_replace_a_table_by_a_view(lake, catalog):
    table = {
        "Name": "tabled",
        "TableType": "EXTERNAL_TABLE",
        "StorageDescriptor": {"Columns": [{"Name": "x", "Type": "string"}], "Location": "s3://lake/tabled/"},
    }
    lake.glue.create_table(DatabaseName=DATABASE, TableInput=table)

    with pytest.raises(TrinoError):
        lake.query("CREATE OR REPLACE VIEW tabled AS SELECT 1 x")
    with pytest.raises(PermanentError, match=r"table .*tabled is not a view of snapshots_tabled"):
        catalog.ensure_own_names(names("tabled"))
