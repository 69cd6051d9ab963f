"""The sandbox's Athena and crawler read every format as AWS does, its traps included."""

import csv
import gzip
import io
import json
from base64 import b64encode
from decimal import Decimal

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc
from sandbox_user import RESULTS

pytestmark = pytest.mark.slow  # a change to the sandbox needs it, and no other

DATABASE, BUCKET = "formats", "formats"
ROLE = "formats-crawler"
TEXT = (
    "org.apache.hadoop.mapred.TextInputFormat",
    "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
)
HIVE_JSON, OPENX_JSON = "org.apache.hive.hcatalog.data.JsonSerDe", "org.openx.data.jsonserde.JsonSerDe"
OPEN_CSV = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
LAZY_SIMPLE = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
ORC = "org.apache.hadoop.hive.ql.io.orc.OrcSerde"
AVRO = "org.apache.hadoop.hive.serde2.avro.AvroSerDe"
FILES = {
    PARQUET: (
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    ),
    ORC: ("org.apache.hadoop.hive.ql.io.orc.OrcInputFormat", "org.apache.hadoop.hive.ql.io.orc.OrcOutputFormat"),
    AVRO: (
        "org.apache.hadoop.hive.ql.io.avro.AvroContainerInputFormat",
        "org.apache.hadoop.hive.ql.io.avro.AvroContainerOutputFormat",
    ),
}
CSV_PARAMETERS = {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\\"}
MOST = Decimal("123456789012345678901234567890123456.78")  # 38 digits

COLUMNS = {  # a snapshot table: what each type is in Hive and in Arrow
    "id": ("string", pa.string()),
    "stars": ("bigint", pa.int64()),
    "price": ("decimal(38,2)", pa.decimal128(38, 2)),
    "active": ("boolean", pa.bool_()),
    "data": ("binary", pa.binary()),
    "tags": ("array<string>", pa.list_(pa.string())),
    "home": ("struct<city:string,floor:bigint>", pa.struct([("city", pa.string()), ("floor", pa.int64())])),
    "scores": ("map<string,decimal(38,2)>", pa.map_(pa.string(), pa.decimal128(38, 2))),
    "late": ("string", pa.string()),
}
ROWS = [
    {
        "id": "a",
        "stars": 2**63 - 1,
        "price": MOST,
        "active": True,
        "data": b"\x00\xff",
        "tags": ['x "y"', None, "C:\\z"],
        "home": {"city": "Ulm", "floor": None},
        "scores": {"k.1": Decimal("1.50")},
        "late": "now",
    },
    {"id": "b"},
]
OLD = list(COLUMNS)[:-1]  # the columns of an older snapshot


class Lake:
    """A bucket and a database in the sandbox of all tests."""

    def __init__(self, user):
        self.user = user
        self.s3, self.glue, self.athena = (user.client(service) for service in ("s3", "glue", "athena"))

    def put(self, key, content):
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=content)

    def table(self, name, columns, storage, keys=(), **parameters):
        described = descriptor(f"s3://{BUCKET}/{name}/", columns, storage)
        self.glue.create_table(
            DatabaseName=DATABASE,
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": {"EXTERNAL": "TRUE", **parameters},
                "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys],
                "StorageDescriptor": described,
            },
        )

    def partition(self, name, key, value, columns, storage):
        described = descriptor(f"s3://{BUCKET}/{name}/{key}={value}/", columns, storage)
        answer = self.glue.batch_create_partition(
            DatabaseName=DATABASE,
            TableName=name,
            PartitionInputList=[{"Values": [value], "StorageDescriptor": described}],
        )
        assert not answer.get("Errors")

    def query(self, sql):
        return [tuple(row.values()) for row in self.user.query(sql)]

    def refusal(self, sql):
        query = self.athena.start_query_execution(QueryString=sql, ResultConfiguration={"OutputLocation": RESULTS})

        def ended():
            answer = self.athena.get_query_execution(QueryExecutionId=query["QueryExecutionId"])
            status = answer["QueryExecution"]["Status"]
            return None if status["State"] in ("QUEUED", "RUNNING") else status

        status = self.user.wait_for(ended, sql)
        assert status["State"] == "FAILED"
        return status["StateChangeReason"]

    def crawl(self, name, classifiers=(), **settings):
        """The table that a crawl makes of the folder of that name; None if it makes none."""
        crawler = f"formats-{name}"
        outputs = {"Tables": "MergeNewColumns", "Partitions": "InheritFromTable"}
        configuration = {
            "Version": 1.0,
            "CrawlerOutput": {what: {"AddOrUpdateBehavior": how} for what, how in outputs.items()},
        }
        if crawler not in [known["Name"] for known in self.glue.get_crawlers()["Crawlers"]]:
            self.glue.create_crawler(
                Name=crawler,
                Role=f"arn:aws:iam::123456789012:role/{ROLE}",
                DatabaseName=DATABASE,
                Targets={"S3Targets": [{"Path": f"s3://{BUCKET}/{name}/"}]},
                Classifiers=list(classifiers),
                Configuration=json.dumps(configuration),
                **settings,
            )
        self.glue.start_crawler(Name=crawler)
        ended = self.user.wait_for(lambda: self._ready(crawler), f"crawl of {name}")
        assert ended["LastCrawl"]["Status"] == "SUCCEEDED", ended["LastCrawl"]
        try:
            return self.glue.get_table(DatabaseName=DATABASE, Name=name)["Table"]
        except self.glue.exceptions.EntityNotFoundException:
            return None

    def _ready(self, crawler):
        found = self.glue.get_crawler(Name=crawler)["Crawler"]
        return found if found["State"] == "READY" else None

    def partitions(self, name):
        return self.glue.get_partitions(DatabaseName=DATABASE, TableName=name)["Partitions"]


def descriptor(location, columns, storage):
    library, parameters = storage
    input_format, output_format = FILES.get(library, TEXT)
    return {
        "Columns": [{"Name": name, "Type": hive} for name, hive in columns.items()],
        "Location": location,
        "InputFormat": input_format,
        "OutputFormat": output_format,
        "SerdeInfo": {"SerializationLibrary": library, "Parameters": {"serialization.format": "1", **parameters}},
    }


@pytest.fixture(scope="module")
def lake(user):
    lake = Lake(user)
    lake.s3.create_bucket(Bucket=BUCKET)
    lake.glue.create_database(DatabaseInput={"Name": DATABASE})
    iam = user.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}, "Action": "sts:AssumeRole"}
    may = {"Effect": "Allow", "Action": ["s3:*", "glue:*Table*", "glue:*Partition*"], "Resource": "*"}
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=policy(trust))
    iam.put_role_policy(RoleName=ROLE, PolicyName="its", PolicyDocument=policy(may))
    return lake


def policy(statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


# ---------------------------------------------------------------------------------------------------- files


def arrow_table(names, rows):
    columns = []
    for name in names:
        values = [row.get(name) for row in rows]
        if name == "scores":
            values = [value and list(value.items()) for value in values]
        columns.append(pa.array(values, COLUMNS[name][1]))
    return pa.table(columns, names=names)


def parquet_file(names, rows):
    file = io.BytesIO()
    pq.write_table(arrow_table(names, rows), file)
    return file.getvalue()


def orc_file(names, rows):
    file = io.BytesIO()
    orc.write_table(arrow_table(names, rows), file)
    return file.getvalue()


def avro_schema(names):
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2}
    home = [{"name": "city", "type": ["null", "string"]}, {"name": "floor", "type": ["null", "long"]}]
    types = {
        "id": "string",
        "stars": "long",
        "price": decimal,
        "active": "boolean",
        "data": "bytes",
        "tags": {"type": "array", "items": ["null", "string"]},
        "home": {"type": "record", "name": "home", "fields": home},
        "scores": {"type": "map", "values": decimal},
        "late": "string",
    }
    fields = [{"name": name, "type": ["null", types[name]], "default": None} for name in names]
    return {"type": "record", "name": "item", "fields": fields}


def avro_file(names, rows):
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(avro_schema(names)), [{n: row.get(n) for n in names} for row in rows])
    return file.getvalue()


def in_text(value):
    """As JSON: binary is base64, decimals keep their digits."""
    match value:
        case bytes():
            return json.dumps(b64encode(value).decode())
        case Decimal():
            return str(value)
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{in_text(inner)}" for name, inner in value.items()) + "}"
        case list():
            return "[" + ",".join(map(in_text, value)) + "]"
        case _:
            return json.dumps(value)


def json_file(names, rows):
    return zipped("".join(in_text({n: row[n] for n in names if n in row}) + "\n" for row in rows))


def csv_file(names, rows):
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, escapechar="\\", lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        values = [row.get(name) for name in names]
        writer.writerow(["" if v is None else v if isinstance(v, str) else in_text(v).strip('"') for v in values])
    return zipped(text.getvalue())


def zipped(text):
    return gzip.compress(text.encode())


FORMATS = {
    "parquet": (parquet_file, ".parquet", (PARQUET, {})),
    "orc": (orc_file, ".orc", (ORC, {})),
    "avro": (avro_file, ".avro", (AVRO, {"avro.schema.literal": json.dumps(avro_schema(COLUMNS))})),
    "json": (json_file, ".json.gz", (HIVE_JSON, {})),
    "csv": (csv_file, ".csv.gz", (OPEN_CSV, CSV_PARAMETERS)),
}


def hive_columns(form, names):
    if form == "csv":
        return dict.fromkeys(names, "string")
    return {name: "string" if (form, name) == ("json", "data") else COLUMNS[name][0] for name in names}


# ---------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_values_from_old_and_new_partitions(lake, form):
    write, suffix, storage = FORMATS[form]
    name = f"same_{form}"
    skip = {"skip.header.line.count": "1"} if form == "csv" else {}
    lake.table(name, hive_columns(form, COLUMNS), storage, ["day"], classification=form, **skip)
    lake.put(f"{name}/day=1/part-00000{suffix}", write(OLD, ROWS))
    lake.put(f"{name}/day=2/part-00000{suffix}", write(list(COLUMNS), ROWS))
    lake.partition(name, "day", "1", hive_columns(form, OLD), storage)
    lake.partition(name, "day", "2", hive_columns(form, COLUMNS), storage)

    rows = lake.query(f"SELECT * FROM {DATABASE}.{name} ORDER BY day, id")

    known = {
        "data": "00 ff",
        "tags": '[x "y", null, C:\\z]',
        "home": "{city=Ulm, floor=null}",
        "scores": "{k.1=1.50}",
    }
    if form in ("json", "csv"):
        known["data"] = "AP8="
    if form == "csv":
        known |= {"tags": r'["x \"y\"",null,"C:\\z"]', "home": '{"city":"Ulm","floor":null}', "scores": '{"k.1":1.50}'}
    first = ("a", "9223372036854775807", str(MOST), "true", *known.values())
    nothing = "" if form == "csv" else None  # OpenCSV knows no null but beyond the row's end
    second = ("b", *[nothing] * 7)
    assert rows == [(*first, None, "1"), (*second, None, "1"), (*first, "now", "2"), (*second, nothing, "2")]


@pytest.mark.parametrize("form", ["parquet", "orc", "avro", "json"])
def test_nested_values_and_sums_of_38_digits_are_exact_in_every_format(lake, form):
    write, suffix, storage = FORMATS[form]
    name = f"nested_{form}"
    lake.table(name, hive_columns(form, COLUMNS), storage)
    lake.put(f"{name}/part-00000{suffix}", write(list(COLUMNS), ROWS))

    sql = f"SELECT home.city, scores['k.1'], tags[1], price - 1 FROM {DATABASE}.{name} WHERE id = 'a'"

    assert lake.query(sql) == [("Ulm", "1.50", 'x "y"', "123456789012345678901234567890123455.78")]


@pytest.mark.not_on_trino("Trino does not read the SerDe's orc.column.index.access")
def test_orc_is_read_by_position_unless_the_serde_says_by_name(lake):
    renamed = pa.table({"_col0": ["a"], "stars": pa.array([1], pa.int64())})
    file = io.BytesIO()
    orc.write_table(renamed, file)
    for name, parameters in (("orc_index", {}), ("orc_name", {"orc.column.index.access": "false"})):
        lake.table(name, {"id": "string", "stars": "bigint"}, (ORC, parameters))
        lake.put(f"{name}/a.orc", file.getvalue())

    assert lake.query(f"SELECT id, stars FROM {DATABASE}.orc_index") == [("a", "1")]
    assert lake.query(f"SELECT id, stars FROM {DATABASE}.orc_name") == [(None, "1")]


@pytest.mark.not_on_trino("Trino derives the schema from the columns")
def test_avro_needs_the_schema_to_read_by(lake):
    lake.table("avro_bare", {"id": "string"}, (AVRO, {}))
    lake.put("avro_bare/a.avro", avro_file(["id"], ROWS))

    assert "Neither avro.schema.literal nor avro.schema.url specified" in lake.refusal(
        f"SELECT * FROM {DATABASE}.avro_bare"
    )


@pytest.mark.not_on_trino("Trino reads JSON with a reader of its own, with other errors and without rounding")
@pytest.mark.parametrize(
    ("serde", "price", "reason"),
    [
        (HIVE_JSON, str(MOST), "HIVE_CURSOR_ERROR: JsonParseException: "),
        (OPENX_JSON, "123456789012345680000000000000000000.00", "HIVE_CURSOR_ERROR: Row is not a valid JSON Object"),
    ],
)
def test_json_is_one_object_a_line_whose_names_have_no_case(lake, serde, price, reason):
    name = f"json_{serde.split('.')[1]}"
    columns = {"id": "string", "price": "decimal(38,2)", "home": "struct<city:string>", "gone": "string"}
    lake.table(name, columns, (serde, {}))
    lake.put(f"{name}/a.json", f'{{"ID": 1.0, "Price": {MOST}, "home": {{"City": "Ulm"}}, "more": 1}}'.encode())

    assert lake.query(f"SELECT * FROM {DATABASE}.{name}") == [("1.0", price, "{city=Ulm}", None)]
    lake.put(f"{name}/b.json", b'{"id": "2"}\n{"id": ')
    assert lake.refusal(f"SELECT * FROM {DATABASE}.{name}").startswith(reason)


@pytest.mark.not_on_trino("Trino reads CSV with a reader of its own")
def test_csv_is_read_by_position_line_by_line(lake):
    columns = dict.fromkeys(("a", "b", "c"), "string") | {"n": "bigint"}
    storage = (OPEN_CSV, CSV_PARAMETERS)
    lake.table("csv_lines", columns, storage, **{"skip.header.line.count": "1"})
    content = 'x,y,z,n\n"1 ""q"" \\"",\\a,"\\b \\\\",7\n"torn\nhere",2\n'
    lake.put("csv_lines/a.csv", content.encode())

    assert lake.query(f"SELECT * FROM {DATABASE}.csv_lines") == [
        ('1 "q" "', "a", "b \\", "7"),  # a backslash that escapes nothing is lost
        (None, None, None, None),  # and so is what follows a quote that the line does not close
        (None, None, None, None),
    ]
    lake.put("csv_lines/b.csv", b"x,y,z,n\n1,2,3,\n")
    assert lake.refusal(f"SELECT * FROM {DATABASE}.csv_lines") == (
        "HIVE_BAD_DATA: Error parsing field value '' for field 3: For input string: \"\""
    )


def test_delimited_text_takes_quotes_as_they_are(lake):
    lake.table("delimited", {"a": "string", "n": "bigint", "f": "double"}, (LAZY_SIMPLE, {"field.delim": "|"}))
    lake.put("delimited/a.txt", b'"x"|1|\n\\N|\\N|1.5\n')

    assert lake.query(f"SELECT * FROM {DATABASE}.delimited") == [('"x"', "1", None), (None, None, "1.5")]


@pytest.mark.not_on_trino("Trino converts these types. Older engines, as Athena's may be, do not")
@pytest.mark.parametrize(
    ("name", "storage", "table", "partition", "column"),
    [
        ("unlike_parquet", (PARQUET, {}), {"a": "bigint", "b": "string"}, {"b": "int"}, "b"),
        ("unlike_orc", (ORC, {}), {"a": "bigint", "b": "string"}, {"b": "int"}, "a"),
        ("unlike_json", (HIVE_JSON, {}), {"a": "decimal(38,2)"}, {"a": "decimal(38,1)"}, "a"),
        ("unlike_csv", (OPEN_CSV, {}), {"a": "string"}, {"a": "bigint"}, "a"),
    ],
)
def test_a_partition_of_other_types_than_the_tables_fails_the_query(lake, name, storage, table, partition, column):
    lake.table(name, table, storage, ["day"])
    lake.partition(name, "day", "1", partition, storage)

    [(declared, hive)] = partition.items()
    assert lake.refusal(f"SELECT * FROM {DATABASE}.{name}") == (
        "HIVE_PARTITION_SCHEMA_MISMATCH: There is a mismatch between the table and partition schemas. The types are "
        f"incompatible and cannot be coerced. The column '{column}' in table '{DATABASE}.{name}' is declared as type "
        f"'{table[column]}', but partition 'day=1' declared column '{declared}' as type '{hive}'."
    )


@pytest.mark.not_on_trino("Trino converts some values, and has other errors for the rest")
@pytest.mark.parametrize("form", ["parquet", "orc", "avro", "json"])
def test_a_value_that_does_not_fit_its_columns_type_fails_the_query(lake, form):
    write, suffix, storage = FORMATS[form]
    name = f"unfit_{form}"
    lake.table(name, {"id": "bigint"}, storage)
    lake.put(f"{name}/a{suffix}", write(["id"], ROWS))

    assert lake.refusal(f"SELECT * FROM {DATABASE}.{name}").startswith("HIVE_BAD_DATA: ")


@pytest.mark.not_on_trino("Trino has other errors")
@pytest.mark.parametrize(
    ("storage", "reason"),
    [(("com.example.SerDe", {}), "HIVE_SERDE_NOT_FOUND"), ((PARQUET, {}), "HIVE_BAD_DATA: Not valid Parquet file")],
)
def test_files_that_the_serde_cannot_read_fail_the_query(lake, storage, reason):
    name = reason.lower().split(":")[0]
    lake.table(name, {"id": "string"}, storage)
    lake.put(f"{name}/a", b"no such thing")

    assert lake.refusal(f"SELECT * FROM {DATABASE}.{name}").startswith(reason)


@pytest.mark.not_on_trino("Trino has other errors, and reads two fields whose names differ in case")
@pytest.mark.parametrize("hive", ["struct<a-b:int>", "struct<a:int,A:int>", "struct<>", "number"])
def test_a_type_that_athena_does_not_take_makes_the_table_unreadable(lake, hive):
    name = f"untyped_{hive.encode().hex()}"
    lake.table(name, {"id": "string", "x": hive}, (PARQUET, {}))
    try:
        reason = lake.refusal(f"SELECT id FROM {DATABASE}.{name}")
    finally:
        lake.glue.delete_table(DatabaseName=DATABASE, Name=name)  # information_schema of Trino reads all tables

    assert reason == (f"HIVE_INVALID_METADATA: Glue table '{DATABASE}.{name}' column 'x' has invalid data type: {hive}")


# ---------------------------------------------------------------------------------------------------- crawling


def found_columns(table):
    return {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]}


@pytest.mark.parametrize("form", ["parquet", "orc", "avro"])
def test_a_crawl_takes_exact_types_from_files_that_have_them(lake, form):
    write, suffix, (library, _) = FORMATS[form]
    lake.put(f"typed_{form}/day=1/part{suffix}", write(list(COLUMNS), ROWS))

    table = lake.crawl(f"typed_{form}")

    assert found_columns(table) == hive_columns(form, COLUMNS)
    assert table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"] == library
    assert table["Parameters"]["classification"] == form
    assert lake.query(f"SELECT price, late, day FROM {DATABASE}.typed_{form} WHERE id = 'a'") == [
        (str(MOST), "now", "1")
    ]


def test_a_crawl_guesses_the_types_of_json_from_its_values(lake):
    rows = [
        {"id": "a", "n": 1, "big": 2**40, "price": 1, "home": {"City": "Ulm"}, "tags": [1], "none": None},
        {"id": "b", "n": 2, "big": 1, "price": 1.5, "home": {"floor": 1}, "tags": ["x"], "late": True},
    ]
    lake.put("guessed/day=1/a.json.gz", zipped("".join(json.dumps(row) + "\n" for row in rows)))

    table = lake.crawl("guessed")

    assert found_columns(table) == {
        "id": "string",
        "n": "int",
        "big": "bigint",
        "price": "double",
        "home": "struct<city:string,floor:int>",
        "tags": "array<string>",
        "none": "string",
        "late": "boolean",
    }
    serde = table["StorageDescriptor"]["SerdeInfo"]
    assert serde["SerializationLibrary"] == OPENX_JSON
    assert serde["Parameters"]["paths"] == "id,n,big,price,home,tags,none,late"
    assert (table["Parameters"]["classification"], table["Parameters"]["compressionType"]) == ("json", "gzip")
    assert lake.query(f"SELECT price, home, late FROM {DATABASE}.guessed WHERE id = 'b'") == [
        ("1.5", "{city=null, floor=1}", "true")
    ]


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("csv_typed", "id,n,x\na,1,1.5\nb,,2\n", {"id": "string", "n": "bigint", "x": "double"}),
        ("csv_of_text", "id,name\na,b\nc,d\n", {"col0": "string", "col1": "string"}),
        ("csv_of_one_row", "id,name\n", None),
        ("csv_of_one_column", "id\na\nb\n", None),
    ],
)
def test_a_crawl_knows_a_csv_header_only_above_columns_that_are_no_text(lake, name, content, columns):
    lake.put(f"{name}/a.csv", content.encode())

    table = lake.crawl(name)

    assert (table and found_columns(table)) == columns
    if table:
        assert table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"] == LAZY_SIMPLE
        assert ("skip.header.line.count" in table["Parameters"]) == ("id" in columns)


def test_a_classifier_tells_the_crawler_of_the_header(lake):
    told = {"ContainsHeader": "PRESENT", "Delimiter": ",", "QuoteSymbol": '"', "AllowSingleColumn": True}
    lake.glue.create_classifier(CsvClassifier={"Name": "by-api", "Serde": "OpenCSVSerDe", **told})
    template = {"Resources": {"Csv": {"Type": "AWS::Glue::Classifier", "Properties": {"CsvClassifier": told}}}}
    template["Outputs"] = {"Name": {"Value": {"Ref": "Csv"}}}
    cloudformation = lake.user.client("cloudformation")
    cloudformation.create_stack(StackName="classifier", TemplateBody=json.dumps(template))
    waiting = {"Delay": 1, "MaxAttempts": 30}
    cloudformation.get_waiter("stack_create_complete").wait(StackName="classifier", WaiterConfig=waiting)
    [stack] = cloudformation.describe_stacks(StackName="classifier")["Stacks"]
    by_template = stack["Outputs"][0]["OutputValue"]
    for name in ("told_by_api", "told_by_template"):
        lake.put(f"{name}/a.csv", b'"Name"\n"x, y"\n')

    by_api = lake.crawl("told_by_api", ["by-api"])
    by_template = lake.crawl("told_by_template", [by_template])

    for table, serde in ((by_api, OPEN_CSV), (by_template, LAZY_SIMPLE)):
        assert found_columns(table) == {"name": "string"}
        assert table["Parameters"]["skip.header.line.count"] == "1"
        assert table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"] == serde
    assert lake.query(f"SELECT name FROM {DATABASE}.told_by_api") == [("x, y",)]
    cloudformation.delete_stack(StackName="classifier")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="classifier", WaiterConfig=waiting)
    left = [each["CsvClassifier"]["Name"] for each in lake.glue.get_classifiers()["Classifiers"]]
    assert "by-api" in left
    assert all(not name.startswith("classifier-") for name in left)


def test_what_no_classifier_knows_becomes_no_table_and_fails_no_crawl(lake):
    lake.put("unknown/a.bin", b"\x00\x01\x02")
    lake.put("unknown/b.json", b"{not json")
    lake.put("unknown/c.parquet", b"PAR1 but cut off")
    lake.put("unknown/d.txt", b"")

    assert lake.crawl("unknown") is None


@pytest.mark.parametrize("form", FORMATS)
def test_a_crawl_takes_up_a_table_that_was_made_by_api(lake, form):
    """Its columns keep their types, new ones are added, and its partitions are read as it is."""
    write, suffix, storage = FORMATS[form]
    name = f"taken_up_{form}"
    skip = {"skip.header.line.count": "1"} if form == "csv" else {}
    lake.table(name, hive_columns(form, OLD), storage, ["day"], classification=form, **skip)
    lake.put(f"{name}/day=1/part{suffix}", write(OLD, ROWS))

    table = lake.crawl(name)

    assert found_columns(table) == hive_columns(form, OLD)
    assert (table["TableType"], table["Parameters"].get("EXTERNAL")) == ("EXTERNAL_TABLE", "TRUE")
    assert table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"] == storage[0]
    [partition] = lake.partitions(name)
    assert partition["StorageDescriptor"]["SerdeInfo"] == table["StorageDescriptor"]["SerdeInfo"]
    assert lake.query(f"SELECT price, day FROM {DATABASE}.{name} WHERE id = 'a'") == [(str(MOST), "1")]

    lake.put(f"{name}/day=2/part{suffix}", write(list(COLUMNS), ROWS))
    table = lake.crawl(name)

    assert list(found_columns(table).items())[:8] == list(hive_columns(form, OLD).items())
    assert {found["Values"][0]: len(found["StorageDescriptor"]["Columns"]) for found in lake.partitions(name)} == {
        "1": len(found_columns(table)),
        "2": len(found_columns(table)),
    }


def test_a_crawler_that_only_logs_adds_partitions_alone(lake):
    lake.table("logged", {"id": "string"}, (PARQUET, {}), ["day"])
    lake.put("logged/day=1/a.parquet", parquet_file(["id", "stars"], ROWS))

    table = lake.crawl("logged", SchemaChangePolicy={"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"})

    assert found_columns(table) == {"id": "string"}
    assert [partition["Values"] for partition in lake.partitions("logged")] == [["1"]]
    assert lake.query(f"SELECT * FROM {DATABASE}.logged ORDER BY id") == [("a", "1"), ("b", "1")]
