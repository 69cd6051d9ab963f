"""Claims about the crawler, the Glue Data Catalog, Athena, and the views."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from acceptance import plan
from acceptance.claims import Evidence, Look, NotTrue, check, expect
from acceptance.environment import put_items
from acceptance.items import films, zoo
from acceptance.world import World
from acceptance.zoo import ZOO, Case, columns_of, shown_of
from infra.deploy.tables_file import COMMON_STACK
from table_exports.aws.glue import Glue
from table_exports.aws.records import claim_record
from table_exports.domain.errors import PermanentError
from table_exports.domain.export import Export
from table_exports.domain.naming import snapshot_table
from table_exports.domain.stages import Stage
from table_exports.domain.view_sql import shown_snapshot

SUBJECT = "Catalog and Athena"
QUERIES_AT_ONCE = 5
OF_NO_ITEM, OF_SOMEONE_ELSE = (f"{plan.ENTITIES.catalog_name}_{name}" for name in ("gone", "taken"))
CRAWLER = "a crawler of our own that follows the documented rules"


@check(
    "crawler-role",
    SUBJECT,
    "The crawler's role has all permissions that it needs",
    "reads the `LastCrawl` of each crawler after the first exports",
    in_sandbox="the role is enforced on the sandbox's calls",
)
def crawls(world: World) -> Evidence:
    ends = {}
    for pipeline in plan.PIPELINES:
        export = world.first_export(pipeline.name)
        last = world.client("glue").get_crawler(Name=export.crawler_name)["Crawler"].get("LastCrawl", {})
        ends[pipeline.name] = last.get("ErrorMessage") or last.get("Status")
    expect(set(ends.values()) == {"SUCCEEDED"}, f"crawls: {ends}")
    return Evidence(f"{len(ends)} crawls succeeded", {"crawls": len(ends)})


@check(
    "crawler-table",
    SUBJECT,
    "The crawler creates one table for the folder and one partition per snapshot",
    "lists the tables of the database and the partitions of each",
    in_sandbox=CRAWLER,
)
def crawls_one_table(world: World) -> Evidence:
    exports = {pipeline.catalog_name: world.first_export(pipeline.name) for pipeline in plan.PIPELINES}
    pages = world.client("glue").get_paginator("get_tables").paginate(DatabaseName=world.database)
    found = {table["Name"] for page in pages for table in page["TableList"]}
    ours = {name for name in found if name.removeprefix("snapshots_").startswith(plan.CATALOG_PREFIX)}
    expected = {*exports, *(f"snapshots_{name}" for name in exports)}
    expect(ours == expected, f"other tables: {sorted(ours ^ expected)}")
    for export in exports.values():
        partitions = world.partitions(export.snapshot_table)
        expect(
            partitions[:1] == [export.snapshot_timestamp],
            f"partitions of {export.snapshot_table}: {partitions}, not {export.snapshot_timestamp}",
        )
    return Evidence(f"{len(exports)} tables and views", {"tables": len(exports)})


@check(
    "crawler-types",
    SUBJECT,
    "The types that a crawler infers from JSON and CSV do no harm",
    "exports a table in JSON and in CSV with `CatalogUpdate: always`, then compares the types of the catalog",
    in_sandbox="a crawler that infers as Glue's is known to, after which the catalog is corrected",
)
def corrects_types(world: World) -> Evidence:
    count = 0
    for output_format in ("json", "csv"):
        export = world.first_export(f"zoo-{output_format}")
        expect(export.crawled, f"the export in {output_format} ran no crawl")
        cataloged = world.columns(export.snapshot_table)
        for case in ZOO:
            columns = columns_of(case, output_format)
            count += len(columns)
            wrong = {name: cataloged.get(name) for name in columns if cataloged.get(name) != columns[name]}
            expect(not wrong, f"{output_format}, {case}: {wrong}")
    return Evidence("all columns have the types of docs/schema.md", {"columns": count})


def athena_reads(output_format: str) -> Look:
    """Returns the check of a format."""

    def look(world: World) -> Evidence:
        export = world.first_export(f"zoo-{output_format}")
        cataloged = world.columns(export.snapshot_table)
        with ThreadPoolExecutor(QUERIES_AT_ONCE) as pool:
            found = pool.map(lambda case: difference(world, case, output_format, export, cataloged), ZOO)
            wrong = [problem for problem in found if problem]
        expect(not wrong, f"{len(wrong)} of {len(ZOO)} kinds of items differ. " + "\n".join(wrong))
        values = sum(len(values) for case in ZOO for values in shown_of(case, output_format).values())
        return Evidence(f"{len(ZOO)} kinds of items have the documented types and values", {"values": values})

    return look


def difference(world: World, case: Case, output_format: str, export: Export, cataloged: dict[str, str]) -> str | None:
    """Returns how types or values of a case differ from docs/schema.md, or None."""
    columns = columns_of(case, output_format)
    types = {name: cataloged.get(name) for name in columns if cataloged.get(name) != columns[name]}
    if types:
        return f"{case}: types {types}"
    shown = shown_of(case, output_format)
    listed = ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(shown))
    rows = world.query(f"SELECT {listed} FROM {export.catalog_name} WHERE id LIKE '{case.name}-____' ORDER BY id")
    found = {expression: [row[f"c{number}"] for row in rows] for number, expression in enumerate(shown)}
    values = {name: found[name] for name in shown if found[name] != shown[name]}
    return f"{case}: values {str(values)[:500]}" if values else None


for name in plan.FORMATS:
    check(
        f"athena-{name}",
        SUBJECT,
        f"Athena reads {name} as [schema](schema.md) says",
        "exports items of each kind (`acceptance/zoo.py`), then compares types and values with what was written",
        in_sandbox="DuckDB, and a reader that follows the SerDes' documented rules. `make verify-trino` uses Trino",
    )(athena_reads(name))


@check(
    "athena-permissions",
    SUBJECT,
    "`on_glue_complete` and `on_crawler_complete` have all permissions that Athena needs",
    "exports a table with a crawl, and again without",
    in_sandbox="the documented permissions are checked for the role",
    stage=1,
)
def publishes_with_both(world: World) -> Evidence:
    with_crawl, without = world.first_export("zoo-parquet"), second_parquet(world)
    expect(with_crawl.crawled, "the first export ran no crawl")
    expect(not without.crawled, "the second export ran a crawl, although its schema is known")
    return Evidence("views were published by both functions")


def second_parquet(world: World) -> Export:
    return world.once("second export of zoo-parquet", lambda: world.export("zoo-parquet"))


@check(
    "view-latest",
    SUBJECT,
    "The view shows the latest snapshot, and old snapshots stay readable when the schema changes",
    "adds an attribute and changes the type of another, exports again, and compares view and snapshot table",
    in_sandbox="DuckDB",
    stage=1,
)
def view_has_the_latest(world: World) -> Evidence:
    first, second = world.first_export("films"), changed_films(world)
    view = first.catalog_name
    expect(second.crawled, "the new column ran no crawl")
    [latest] = world.query(f"SELECT count(*) AS items, count(came) AS came, max(code) AS code FROM {view}")
    expect(
        latest == {"items": str(plan.FILM_COUNT), "came": "1", "code": "x7"},
        f"the view has {latest}",
    )
    snapshots = world.query(
        "SELECT snapshot_timestamp, count(*) AS items, count(came) AS came "
        f"FROM snapshots_{view} WHERE snapshot_timestamp IN ('{first.snapshot_timestamp}', "
        f"'{second.snapshot_timestamp}') GROUP BY snapshot_timestamp ORDER BY snapshot_timestamp"
    )
    counts = [(row["items"], row["came"]) for row in snapshots]
    expect(counts == [(str(plan.FILM_COUNT), "0"), (str(plan.FILM_COUNT), "1")], f"snapshots: {snapshots}")
    return Evidence(f"the view has {second.snapshot_timestamp}, the table has both snapshots")


def changed_films(world: World) -> Export:
    """The export after a film got a new attribute."""

    def change() -> Export:
        world.first_export("films")
        film = next(iter(films()))
        put_items(world, plan.FILMS, [film | {"came": {"BOOL": True}, "code": {"S": "x7"}}])
        return world.export("films")

    return world.once("export of changed films", change)


@check(
    "view-known",
    SUBJECT,
    "The catalog has the query of a view in a form by which the view is known as the pipeline's own",
    "reads the text of each view after the first exports, as `start_export` does",
    in_sandbox="Athena's stand-in writes the text in the form that Trino reads",
)
def knows_its_views(world: World) -> Evidence:
    texts = {}
    for pipeline in plan.PIPELINES:
        name = world.first_export(pipeline.name).catalog_name
        view = world.client("glue").get_table(DatabaseName=world.database, Name=name)["Table"]
        texts[name] = view.get("ViewOriginalText", "")
    unknown = {
        name: text for name, text in texts.items() if not shown_snapshot(text, world.database, snapshot_table(name))
    }
    expect(not unknown, f"views that are not known: {unknown}")
    return Evidence(f"{len(texts)} views are known", {"views": len(texts)})


@check(
    "entities",
    SUBJECT,
    "Each entity of a single-table design has a view with its items, and all views show the same snapshot",
    "exports a table with an entity for each kind of items, and counts what each view shows",
    in_sandbox="DuckDB, and the catalog of the emulator",
    stage=1,
)
def entities_have_views(world: World) -> Evidence:
    export = first_export_of_entities(world)
    kinds = Counter(item["id"]["S"].partition("-")[0] for item in zoo())
    views = {f"{plan.ENTITIES.catalog_name}_{kind}": str(count) for kind, count in kinds.items()}
    rows = world.query(
        " UNION ALL ".join(
            f"SELECT '{view}' AS name, count(*) AS items, min(snapshot_timestamp) AS first, "
            f"max(snapshot_timestamp) AS last FROM {view}"
            for view in views
        )
    )
    found = {row["name"]: row["items"] for row in rows}
    expect(found == views, f"the views have {found}, not {views}")
    shown = {row[column] for row in rows for column in ("first", "last")}
    expect(shown == {export.snapshot_timestamp}, f"the views show the snapshots {shown}")
    return Evidence(f"{len(views)} views show {export.snapshot_timestamp}", {"views": len(views)})


@check(
    "entity-released",
    SUBJECT,
    "A success frees the name of an entity that its snapshot does not have, although functions may only delete records "
    "whose key begins with `catalog-name/`",
    "gives the pipeline with entities another name before its first export, and looks for it afterwards",
    in_sandbox="the sandbox evaluates `dynamodb:LeadingKeys` for each item of a transaction",
    stage=1,
)
def releases_names(world: World) -> Evidence:
    first_export_of_entities(world)
    records = world.system.records
    head = records.pipeline(plan.ENTITIES.pipeline)
    expect(head is not None and OF_NO_ITEM not in head.entities, f"the pipeline still has the entity {OF_NO_ITEM}")
    expect(records.holder(OF_NO_ITEM) is None, f"{OF_NO_ITEM} is held by {records.holder(OF_NO_ITEM)}")
    return Evidence(f"{OF_NO_ITEM} is free")


@check(
    "entity-taken",
    SUBJECT,
    "A table of someone else that has the name of a new entity is found with one call of `GetTables`, which takes a "
    "regular expression",
    "creates such a table, and has the product look at the names of entities",
    in_sandbox="the catalog of the emulator",
    stage=1,
)
def finds_taken_names(world: World) -> Evidence:
    export = first_export_of_entities(world)
    client, entity = world.client("glue"), replace(export, catalog_name=OF_SOMEONE_ELSE)
    glue = Glue(client, lambda: client, world.database)
    glue.ensure_own_names_of_entities(export, [entity])
    taken = {"Name": OF_SOMEONE_ELSE, "TableType": "EXTERNAL_TABLE"}
    client.create_table(DatabaseName=world.database, TableInput=taken)
    try:
        glue.ensure_own_names_of_entities(export, [entity])
    except PermanentError as error:
        return Evidence(str(error))
    finally:
        client.delete_table(DatabaseName=world.database, Name=OF_SOMEONE_ELSE)
    raise NotTrue(f"the table {OF_SOMEONE_ELSE} was not found")


def first_export_of_entities(world: World) -> Export:
    """Deploys the pipeline with entities, gives it the name of an entity without items, and exports it."""
    world.once("the pipeline with entities", lambda: deploy_entities(world))
    return world.first_export(plan.ENTITIES.name)


def deploy_entities(world: World) -> None:
    world.deploy_tables([plan.ENTITIES])
    pipeline = world.system.pipeline(plan.ENTITIES.pipeline)
    world.client("dynamodb").put_item(TableName=COMMON_STACK, Item=claim_record(OF_NO_ITEM, pipeline))
    world.client("dynamodb").update_item(
        TableName=COMMON_STACK,
        Key={"pipeline": {"S": pipeline.pipeline}, "record": {"S": "pipeline"}},
        UpdateExpression="SET entities = :names",
        ExpressionAttributeValues={":names": {"L": [{"S": OF_NO_ITEM}]}},
    )


@check(
    "retention",
    SUBJECT,
    "Old snapshots are deleted from S3 and from the catalog after a success",
    "exports a table twice with `KeepSnapshots: 1`",
    in_sandbox="S3 and the catalog of the emulator",
    stage=1,
)
def deletes_old_snapshots(world: World) -> Evidence:
    first, second = world.first_export("zoo-parquet"), second_parquet(world)
    expect(second.stage == Stage.SUCCEEDED, f"the second export is {second.stage}")
    folder = first.snapshot_location.partition(f"{world.bucket}/")[2]
    world.wait_for(lambda: not world.keys(folder), f"the deletion of {folder}", 10)
    world.wait_for(lambda: world.partitions(second.snapshot_table) == [second.snapshot_timestamp], "one partition", 10)
    [counted] = world.query(f"SELECT count(*) AS items FROM snapshots_{second.catalog_name}")
    expect(counted == {"items": str(second.items)}, f"the table has {counted}")
    return Evidence("only the second snapshot is in S3 and in the catalog")
