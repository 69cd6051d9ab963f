import copy
from dataclasses import replace

import botocore.session
import pytest
from botocore.validate import ParamValidator
from examples import a_manifest, an_export

from sandbox.athena.views import encode_view
from table_exports.domain import catalog, view_sql
from table_exports.domain.errors import PermanentError

LITERAL = {"avro.schema.literal": '{"type": "record"}'}
FORMATS = ["parquet", "orc", "avro", "json", "csv"]
COLUMNS = [{"Name": "asin", "Type": "string"}, {"Name": "stars", "Type": "bigint"}]
SNAPSHOT = "2026-11-23T02-00-07Z"


def manifest_of(output_format, *columns):
    serde_parameters = LITERAL if output_format == "avro" else {}
    return a_manifest(*columns, output_format=output_format, serde_parameters=serde_parameters)


def table_of(output_format, *columns):
    """A snapshot table as the catalog describes it."""
    export = an_export(output_format=output_format)
    return catalog.table_input(export, manifest_of(output_format, *columns), None) | {"VersionId": "1"}


def test_a_table_has_the_manifests_columns_and_is_partitioned_by_the_snapshot():
    table = catalog.table_input(an_export(), manifest_of("parquet"), None)

    assert (table["Name"], table["TableType"]) == ("snapshots_reviews", "EXTERNAL_TABLE")
    assert table["PartitionKeys"] == [{"Name": "snapshot_timestamp", "Type": "string"}]
    assert table["Parameters"] == {"EXTERNAL": "TRUE", "classification": "parquet"}
    assert table["StorageDescriptor"]["Columns"] == COLUMNS
    assert table["StorageDescriptor"]["Location"] == "s3://bucket/exports/snapshots_reviews/"


@pytest.mark.parametrize(
    ("output_format", "input_format", "serde", "serde_parameters", "parameters"),
    [
        ("parquet", "MapredParquetInputFormat", "ParquetHiveSerDe", {"serialization.format": "1"}, {}),
        ("orc", "OrcInputFormat", "OrcSerde", {"serialization.format": "1"}, {}),
        ("avro", "AvroContainerInputFormat", "AvroSerDe", {"serialization.format": "1", **LITERAL}, {}),
        (
            "json",
            "TextInputFormat",
            "JsonSerDe",
            {"serialization.format": "1"},
            {"compressionType": "gzip", "typeOfData": "file"},
        ),
        (
            "csv",
            "TextInputFormat",
            "OpenCSVSerde",
            {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\\"},
            {"compressionType": "gzip", "typeOfData": "file", "skip.header.line.count": "1"},
        ),
    ],
)
def test_each_format_is_read_its_own_way(output_format, input_format, serde, serde_parameters, parameters):
    table = table_of(output_format)

    assert table["StorageDescriptor"]["InputFormat"].rpartition(".")[2] == input_format
    assert table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"].rpartition(".")[2] == serde
    assert table["StorageDescriptor"]["SerdeInfo"]["Parameters"] == serde_parameters
    assert table["Parameters"] == {"EXTERNAL": "TRUE", "classification": output_format} | parameters


def test_a_partition_is_its_snapshots_folder_read_as_the_table_is():
    partition = catalog.partition_input(an_export(), manifest_of("parquet"), SNAPSHOT, None)

    assert partition["Values"] == [SNAPSHOT]
    location = partition["StorageDescriptor"].pop("Location")
    assert location == f"s3://bucket/exports/snapshots_reviews/snapshot_timestamp={SNAPSHOT}/"
    table = table_of("parquet")["StorageDescriptor"]
    assert partition["StorageDescriptor"] == {name: of for name, of in table.items() if name != "Location"}


def crawled(output_format="json", columns=COLUMNS, serde="org.openx.data.jsonserde.JsonSerDe"):
    """What a crawler leaves: its own SerDe, types and parameters, and someone's comment."""
    table = table_of(output_format)
    table["Description"], table["Owner"] = "All reviews", "owner"
    table["Parameters"] = {"UPDATED_BY_CRAWLER": "table-exports-reviews-json", "classification": "json"}
    table["StorageDescriptor"] |= {
        "Columns": copy.deepcopy(columns),
        "SerdeInfo": {"SerializationLibrary": serde, "Parameters": {"paths": "asin,stars"}},
        "Compressed": True,
    }
    return table


def test_what_a_crawler_inferred_is_replaced_and_what_else_is_known_is_kept():
    inferred = [{"Name": "asin", "Type": "string", "Comment": "of the shop"}, {"Name": "stars", "Type": "double"}]

    table = catalog.table_input(an_export(output_format="json"), manifest_of("json"), crawled(columns=inferred))

    assert table["StorageDescriptor"]["Columns"] == [{**COLUMNS[0], "Comment": "of the shop"}, COLUMNS[1]]
    assert table["StorageDescriptor"]["SerdeInfo"] == table_of("json")["StorageDescriptor"]["SerdeInfo"]
    assert table["StorageDescriptor"]["Compressed"]
    assert table["Parameters"]["UPDATED_BY_CRAWLER"] == "table-exports-reviews-json"
    assert (table["Description"], table["Owner"]) == ("All reviews", "owner")
    assert "VersionId" not in table  # of what Glue describes, which it does not take back


def test_comments_name_the_attributes_and_those_of_operators_stay():
    ours = {"asin": 'DynamoDB attribute "ASIN"', "stars": 'DynamoDB attribute "Stars"'}
    manifest = replace(manifest_of("json"), comments=ours)
    export = an_export(output_format="json")
    table = catalog.table_input(export, manifest, None)
    assert [column["Comment"] for column in table["StorageDescriptor"]["Columns"]] == list(ours.values())
    assert catalog.same_comments(export, manifest, table)

    edited = copy.deepcopy(table)
    edited["StorageDescriptor"]["Columns"][0]["Comment"] = "of the shop"
    edited["StorageDescriptor"]["Columns"][1]["Comment"] = 'DynamoDB attribute "Stars", its fields: a_b "a-b"'

    assert not catalog.same_comments(export, manifest, edited)
    comments = [
        column["Comment"] for column in catalog.table_input(export, manifest, edited)["StorageDescriptor"]["Columns"]
    ]
    assert comments == ["of the shop", 'DynamoDB attribute "Stars"']


def test_partitions_have_no_comments():
    manifest = replace(manifest_of("json"), comments={"asin": 'DynamoDB attribute "ASIN"'})

    partition = catalog.partition_input(an_export(output_format="json"), manifest, SNAPSHOT, None)

    assert partition["StorageDescriptor"]["Columns"] == COLUMNS


def emptied(described):
    """As Glue may describe it: what nobody set is there, and empty."""
    return described | {
        "Description": "",
        "Owner": "",
        "Retention": 0,
        "StorageDescriptor": described["StorageDescriptor"]
        | {
            "BucketColumns": [],
            "SortColumns": [],
            "Parameters": {},
            "SkewedInfo": {"SkewedColumnNames": [""], "SkewedColumnValues": []},
            "SchemaReference": {"SchemaId": {"SchemaArn": "", "RegistryName": ""}, "SchemaVersionId": ""},
            "AdditionalLocations": [],
            "Columns": [{"Name": "asin", "Type": "string", "Comment": ""}],
        },
    }


@pytest.mark.parametrize("output_format", FORMATS)
def test_what_glue_describes_as_empty_is_not_handed_back_for_glue_to_refuse(output_format):
    export, manifest = an_export(output_format=output_format), manifest_of(output_format)
    table, partition = emptied(table_of(output_format)), emptied(partition_of(output_format))

    table = catalog.table_input(export, manifest, table)
    partition = catalog.partition_input(export, manifest, SNAPSHOT, partition)

    must_be_taken("UpdateTable", DatabaseName="d", TableInput=table)
    entries = [{"PartitionValueList": [SNAPSHOT], "PartitionInput": partition}]
    must_be_taken("BatchUpdatePartition", DatabaseName="d", TableName="t", Entries=entries)
    assert not {"Owner", "Description"} & table.keys()
    assert table["StorageDescriptor"] == table_of(output_format)["StorageDescriptor"]


def must_be_taken(operation, **request):
    shape = botocore.session.get_session().get_service_model("glue").operation_model(operation).input_shape
    assert ParamValidator().validate(request, shape).generate_report() == ""


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_table_that_was_made_from_the_manifest_has_its_schema(output_format):
    export = an_export(output_format=output_format)

    assert catalog.same_schema(export, manifest_of(output_format), table_of(output_format))


def different(path, value):
    def change(table):
        *folders, last = path
        for name in folders:
            table = table[name]
        table[last] = value

    return change


OTHERWISE = {
    "a new column": different(["StorageDescriptor", "Columns"], COLUMNS[:1]),
    "a column that only the catalog has": different(
        ["StorageDescriptor", "Columns"], [*COLUMNS, {"Name": "x", "Type": "string"}]
    ),
    "another type": different(["StorageDescriptor", "Columns", 1, "Type"], "double"),
    "another order": different(["StorageDescriptor", "Columns"], COLUMNS[::-1]),
    "another SerDe": different(["StorageDescriptor", "SerdeInfo", "SerializationLibrary"], "org.openx.JsonSerDe"),
    "another input format": different(["StorageDescriptor", "InputFormat"], "TextInputFormat"),
    "a SerDe parameter that is missing": different(["StorageDescriptor", "SerdeInfo", "Parameters"], {}),
    "no SerDe": different(["StorageDescriptor", "SerdeInfo"], {}),
}


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("change", OTHERWISE.values(), ids=OTHERWISE.keys())
def test_a_table_that_would_be_read_otherwise_has_not(output_format, change):
    table = copy.deepcopy(table_of(output_format))
    change(table)
    export, manifest = an_export(output_format=output_format), manifest_of(output_format)

    assert not catalog.same_schema(export, manifest, table)
    assert catalog.same_schema(export, manifest, catalog.table_input(export, manifest, table))


def test_another_avro_schema_is_another_schema():
    table = copy.deepcopy(table_of("avro"))
    table["StorageDescriptor"]["SerdeInfo"]["Parameters"]["avro.schema.literal"] = "{}"

    assert not catalog.same_schema(an_export(output_format="avro"), manifest_of("avro"), table)


def test_a_csv_table_that_would_show_headers_as_rows_is_not_as_it_should_be():
    table = copy.deepcopy(table_of("csv"))
    del table["Parameters"]["skip.header.line.count"]

    assert not catalog.same_schema(an_export(output_format="csv"), manifest_of("csv"), table)


def test_a_table_whose_crawl_is_due_is_not_as_it_should_be_until_it_is_written_again():
    export, manifest = an_export(), manifest_of("parquet")

    due = catalog.table_input(export, manifest, table_of("parquet"), crawl_due=True)
    done = catalog.table_input(export, manifest, due)

    assert not catalog.same_schema(export, manifest, due)
    assert catalog.same_schema(export, manifest, done)
    assert done["Parameters"] == {"EXTERNAL": "TRUE", "classification": "parquet"}


def test_parameters_of_others_do_not_matter():
    table = copy.deepcopy(table_of("parquet"))
    table["Parameters"] |= {"objectCount": "7"}
    table["StorageDescriptor"]["Parameters"] = {"objectCount": "7"}
    table["StorageDescriptor"]["SerdeInfo"]["Parameters"]["of"] = "a person"

    assert catalog.same_schema(an_export(), manifest_of("parquet"), table)


def partition_of(output_format, *columns):
    export = an_export(output_format=output_format)
    return copy.deepcopy(catalog.partition_input(export, manifest_of(output_format, *columns), SNAPSHOT, None))


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_partition_of_before_a_column_fits_its_table(output_format):
    table = table_of(output_format)

    assert catalog.fits_the_table(partition_of(output_format), table)
    assert catalog.fits_the_table(partition_of(output_format, ("asin", "string")), table)


def test_an_avro_partition_of_before_a_column_fits_with_the_schema_of_its_time_and_does_not_follow():
    partition = partition_of("avro", ("asin", "string"))
    partition["StorageDescriptor"]["SerdeInfo"]["Parameters"]["avro.schema.literal"] = "of then"

    assert catalog.fits_the_table(partition, table_of("avro"))
    assert not catalog.follows_the_table(partition, table_of("avro"), SNAPSHOT)


def test_an_avro_partition_follows_with_all_columns_and_the_schema_of_the_table():
    partition = partition_of("avro")
    assert catalog.follows_the_table(partition, table_of("avro"), SNAPSHOT)

    partition["StorageDescriptor"]["SerdeInfo"]["Parameters"]["avro.schema.literal"] = "of then"
    assert not catalog.follows_the_table(partition, table_of("avro"), SNAPSHOT)
    assert not catalog.follows_the_table(partition_of("avro", ("asin", "string")), table_of("avro"), SNAPSHOT)


@pytest.mark.parametrize("output_format", sorted({*FORMATS} - {"avro"}))
def test_a_partition_of_another_format_follows_while_it_fits(output_format):
    assert catalog.follows_the_table(partition_of(output_format, ("asin", "string")), table_of(output_format), SNAPSHOT)
    assert not catalog.follows_the_table(
        partition_of(output_format, ("asin", "double")), table_of(output_format), SNAPSHOT
    )


GROWN = "struct<a:array<struct<b:bigint,e:string>>,c:map<string,struct<d:decimal(38,1),f:struct<g:bigint>>>,h:string>"


@pytest.mark.parametrize(
    ("kind", "by", "extended"),
    [
        ("bigint", "bigint", True),
        ("bigint", "string", False),
        ("struct<a:bigint>", "struct<a:bigint,b:string>", True),
        ("struct<a:bigint,b:string>", "struct<a:bigint>", False),
        ("struct<b:bigint>", "struct<a:bigint,b:bigint>", False),
        ("struct<a:bigint>", "struct<a:string,b:bigint>", False),
        ("struct<a:bigint>", "struct<aa:bigint,b:bigint>", False),
        ("struct<a:bigint>", "map<string,bigint>", False),
        ("array<struct<a:bigint>>", "array<struct<a:bigint,b:string>>", True),
        ("map<string,struct<a:bigint>>", "map<string,struct<a:bigint,b:array<struct<c:bigint>>>>", True),
        ("struct<a:array<struct<b:bigint>>,c:map<string,struct<d:decimal(38,1)>>>", GROWN, True),
        ("struct<a:array<struct<b:bigint>>,c:map<string,struct<d:decimal(38,2)>>>", GROWN, False),
        (GROWN, GROWN, True),
        (GROWN, GROWN[:-1], False),
        ("", "struct<a:bigint>", False),
    ],
)
def test_a_type_is_extended_by_fields_at_the_end_of_structs(kind, by, extended):
    assert catalog.is_extended(kind, by) is extended


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_partition_of_before_a_field_fits_its_table(output_format):
    table = table_of(output_format, ("asin", "string"), ("place", "struct<city:string,zip:bigint>"), ("x", "string"))

    assert catalog.fits_the_table(
        partition_of(output_format, ("asin", "string"), ("place", "struct<city:string>")), table
    )
    assert not catalog.fits_the_table(
        partition_of(output_format, ("asin", "string"), ("place", "struct<zip:bigint>")), table
    )
    assert not catalog.fits_the_table(
        partition_of(output_format, ("asin", "string"), ("place", "struct<city:string,zip:bigint,x:string>")), table
    )


def test_a_partition_after_the_published_snapshot_has_all_columns():
    table = table_of("parquet")

    assert not catalog.follows_the_table(partition_of("parquet", ("asin", "string")), table, "2026-11-22T02-00-00Z")
    assert catalog.follows_the_table(partition_of("parquet"), table, "2026-11-22T02-00-00Z")


PLACE = ("asin", "string"), ("place", "struct<city:string>")
GROWN_PLACE = ("asin", "string"), ("place", "struct<city:string,zip:bigint>")


@pytest.mark.parametrize("output_format", sorted({*FORMATS} - {"avro"}))
def test_a_table_without_the_latest_fields_needs_no_crawl(output_format):
    export, manifest = an_export(output_format=output_format), manifest_of(output_format, *GROWN_PLACE)
    table = table_of(output_format, *PLACE)

    assert not catalog.same_schema(export, manifest, table)
    assert catalog.lacks_only_fields(export, manifest, table)


@pytest.mark.parametrize(
    ("columns", "change"),
    [
        (PLACE[:1], {}),
        ((PLACE[0], ("place", "struct<city:bigint>")), {}),
        (PLACE, {catalog.CRAWL_DUE: "true"}),
        (PLACE, {"classification": "csv"}),
    ],
)
def test_a_table_that_lacks_more_than_fields_needs_a_crawl(columns, change):
    table = copy.deepcopy(table_of("json", *columns))
    table["Parameters"] |= change
    if "classification" in change:
        table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"] = catalog.STORAGE["csv"].serde

    assert not catalog.lacks_only_fields(an_export(output_format="json"), manifest_of("json", *GROWN_PLACE), table)


def test_a_table_in_avro_needs_a_crawl_because_its_partitions_get_the_schema():
    table = copy.deepcopy(table_of("avro", *PLACE))
    table["StorageDescriptor"]["SerdeInfo"]["Parameters"]["avro.schema.literal"] = "of then"

    assert not catalog.lacks_only_fields(an_export(output_format="avro"), manifest_of("avro", *GROWN_PLACE), table)


@pytest.mark.parametrize(("output_format", "place"), [("parquet", PLACE[1]), ("avro", GROWN_PLACE[1])])
def test_before_a_crawl_structs_keep_their_fields_for_the_view(output_format, place):
    export, price = an_export(output_format=output_format), ("price", "bigint")
    manifest = manifest_of(output_format, *GROWN_PLACE, price)

    due = catalog.table_input(export, manifest, table_of(output_format, *PLACE), crawl_due=True)
    done = catalog.table_input(export, manifest, due)

    assert [(each["Name"], each["Type"]) for each in due["StorageDescriptor"]["Columns"]] == [PLACE[0], place, price]
    assert [(each["Name"], each["Type"]) for each in done["StorageDescriptor"]["Columns"]] == [*GROWN_PLACE, price]


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize(
    "columns",
    [
        [("asin", "string"), ("stars", "double")],
        [("stars", "bigint")],
        [("stars", "bigint"), ("asin", "string")],
        [("asin", "string"), ("stars", "bigint"), ("inferred", "int")],
    ],
)
def test_a_partition_with_other_columns_does_not(output_format, columns):
    assert not catalog.fits_the_table(partition_of(output_format, *columns), table_of(output_format))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_partition_without_columns_or_of_another_serde_does_not(count):
    partition = partition_of("json")
    partition["StorageDescriptor"]["Columns"] = COLUMNS[:count]
    if count:
        partition["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"] = "org.openx.data.jsonserde.JsonSerDe"

    assert not catalog.fits_the_table(partition, table_of("json"))


@pytest.mark.parametrize("change", OTHERWISE.values(), ids=OTHERWISE.keys())
def test_an_exports_own_partition_has_all_the_columns(change):
    found, wanted = partition_of("parquet"), partition_of("parquet")
    assert catalog.same_partition(found, wanted)

    change(found)
    assert not catalog.same_partition(found, wanted)


def test_an_exports_own_partition_lies_in_its_folder():
    found, wanted = partition_of("parquet"), partition_of("parquet")
    found["StorageDescriptor"]["Location"] = found["StorageDescriptor"]["Location"].rstrip("/")
    assert catalog.same_partition(found, wanted)

    found["StorageDescriptor"]["Location"] = "s3://bucket/elsewhere/"
    assert not catalog.same_partition(found, wanted)


@pytest.mark.parametrize("keys", [[], ["partition_0", "snapshot_timestamp"], ["day"]])
def test_a_table_that_is_partitioned_otherwise_is_not_ours(keys):
    table = table_of("parquet") | {"PartitionKeys": [{"Name": key} for key in keys]}

    with pytest.raises(PermanentError, match="another dataset has its folder or its name"):
        catalog.ensure_own_table(an_export(), table)


@pytest.mark.parametrize(
    "location", ["s3://bucket/exports/snapshots_reviews", "s3://bucket/exports/snapshots_reviews/"]
)
def test_a_table_of_the_snapshots_folder_is_ours(location):
    catalog.ensure_own_table(an_export(), {**table_of("parquet"), "StorageDescriptor": {"Location": location}})


@pytest.mark.parametrize("storage", [{"Location": "s3://theirs/reviews/"}, {}])
def test_a_table_that_lies_elsewhere_is_not(storage):
    with pytest.raises(
        PermanentError, match=r"is of .*, not of s3://bucket/exports/snapshots_reviews/: another dataset"
    ):
        catalog.ensure_own_table(an_export(), table_of("parquet") | {"StorageDescriptor": storage})


@pytest.mark.parametrize("wanted", FORMATS)
@pytest.mark.parametrize("found", FORMATS)
def test_a_table_of_snapshots_in_another_format_is_refused_with_the_remedy(found, wanted):
    export = an_export(output_format=wanted)
    if found == wanted:
        return catalog.ensure_own_table(export, table_of(found))

    with pytest.raises(PermanentError) as refusal:
        catalog.ensure_own_table(export, table_of(found))

    assert str(refusal.value) == (
        f"Table snapshots_reviews is of snapshots in {found}, and the export is {wanted}: deploy another table stack "
        'with a CatalogName of its own, or start over: docs/schema.md, "Start over"'
    )


@pytest.mark.parametrize(
    ("output_format", "serde"),
    [
        ("json", "org.openx.data.jsonserde.JsonSerDe"),
        ("csv", "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"),
        ("parquet", "a.later.ParquetSerDe"),
        ("orc", ""),
    ],
)
def test_a_serde_that_a_crawler_or_a_person_chose_is_no_other_format(output_format, serde):
    table = copy.deepcopy(table_of(output_format))
    table["StorageDescriptor"]["SerdeInfo"] = {"SerializationLibrary": serde} if serde else {}

    catalog.ensure_own_table(an_export(output_format=output_format), table)


@pytest.mark.parametrize(("columns", "partitions"), [(2, 100), (200, 100), (8_000, 4), (100_000, 1)])
def test_a_page_of_partitions_has_about_the_same_size_however_many_columns_they_have(columns, partitions):
    manifest = a_manifest(*((f"attribute_{n}", "decimal(38,2)") for n in range(columns)))

    assert catalog.partitions_per_page(catalog.table_input(an_export(), manifest, None)) == partitions


def a_view(sql, **more):
    return encode_view("reviews", sql, "db", []) | more


OURS = view_sql.create_view(an_export(), "db", [("asin", "asin")]).partition(" AS ")[2]


@pytest.mark.parametrize("kept", [{}, {"Description": "by a person"}, {"CreatedBy": "arn:aws:sts::1:assumed-role/x"}])
def test_a_view_of_the_pipeline_may_be_replaced(kept):
    catalog.ensure_own_view(an_export(), "db", a_view(OURS, **kept))


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (a_view("SELECT 1"), "view"),
        (a_view(OURS.replace("snapshots_reviews", "snapshots_orders")), "view"),
        ({"Name": "reviews", "TableType": "EXTERNAL_TABLE"}, "table"),
        ({"Name": "reviews"}, "table"),
        ({"Name": "reviews", "TableType": "VIRTUAL_VIEW", "ViewOriginalText": "select 1"}, "view"),  # of Hive or Spark
        (a_view(OURS, TableType="EXTERNAL_TABLE"), "table"),
    ],
)
def test_what_has_the_name_of_the_view_and_is_not_of_the_pipeline_is_named_with_the_remedy(found, kind):
    with pytest.raises(
        PermanentError, match=rf"{kind} db\.reviews is not a view of snapshots_reviews.*Drop the {kind}"
    ):
        catalog.ensure_own_view(an_export(), "db", found)
