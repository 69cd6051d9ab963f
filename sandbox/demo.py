"""The demo: exports a table with two reviews twice, one with thousands of films and one with three entities once.

Then it queries the views. Everything goes through the sandbox's endpoint, as on AWS. Exits with 1 if a check fails.
"""

import argparse
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import bokeh_sampledata
import boto3
from rich.console import Console
from rich.table import Table

from sandbox.deploy import ARTIFACTS
from sandbox.emulator.ministack import free_port

ROOT = Path(__file__).parent.parent
FILMS = 5_000
RESULTS = "s3://table-exports-123456789012-us-east-1/query-results/"
TIMEOUT_SECONDS = 300  # of one export, with the start of Spark
POLL_SECONDS = 0.1
NO_SERVICE = (None, "sandbox", "table-exports")  # callers: a user, the sandbox, the command line

REVIEWS = [
    {"asin": "B000FA64PK", "user": "Joe", "stars": 5, "text": "It taught me all about event buses"},
    {"asin": "B000FA64PA", "user": "Anna", "stars": 4, "verified": True},
]

SHOP = [
    {"pk": "USER#ada", "sk": "PROFILE", "type": "user", "name": "Ada", "status": "active", "cities": ["Rome", "Bonn"]},
    {"pk": "USER#joe", "sk": "PROFILE", "type": "user", "name": "Joe", "status": "blocked"},
    {"pk": "USER#ada", "sk": "ORDER#7", "type": "order", "status": 20, "placed": "2026-11-02"},
    {"pk": "USER#ada", "sk": "ORDER#9", "type": "order", "status": 30, "placed": "2026-11-20", "gift": True},
    {"pk": "ORDER#7", "sk": "LINE#1", "type": "line", "product": "Kettle", "quantity": 1, "price": Decimal("34.90")},
    {"pk": "ORDER#9", "sk": "LINE#1", "type": "line", "product": "Teapot", "quantity": 2, "price": Decimal("12.50")},
    {"pk": "ORDER#9", "sk": "LINE#2", "type": "line", "product": "Sieve", "quantity": 3, "price": Decimal("2.45")},
]
ENTITIES = {
    "by": "type",
    "types": {
        "user": {"name": "users", "when": {"pk": "USER#{user_id}"}},
        "order": {"name": "orders", "when": {"pk": "USER#{user_id}", "sk": "ORDER#{order_id}"}},
        "line": {"name": "order_lines", "when": {"pk": "ORDER#{order_id}", "sk": "LINE#{line}"}},
    },
}

console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


class CheckFailed(Exception):
    """The message says what was expected."""


class FinishedExport(NamedTuple):
    name: str
    timeline: dict[str, Any]  # from the command line
    calls: list[dict[str, Any]]
    events: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument("--engine", default="duckdb", help="duckdb or trino: what runs the queries of Athena")
    options = parser.parse_args()
    try:
        with sandbox("--engine", options.engine) as endpoint:
            walk_through(Clients(endpoint))
    except CheckFailed as error:
        console.print(f"[bold red]Check failed:[/] {error}")
        sys.exit(1)


def walk_through(aws: "Clients") -> None:
    subscribe(aws)

    console.rule("A table with two reviews")
    put_items(aws, "Reviews", ("asin", "user"), REVIEWS)
    pipeline = deploy(aws, "Reviews")
    exports = [export(aws, pipeline, "Reviews, first"), export(aws, pipeline, "Reviews, second")]
    snapshots = show(aws, "SELECT asin, stars, snapshot_timestamp FROM snapshots_reviews ORDER BY 3, 1")
    latest = show(aws, "SELECT * FROM reviews ORDER BY asin")
    first, second = (done.timeline["snapshot_timestamp"] for done in exports)
    expect(len(snapshots) == 4, f"the snapshot table has four rows, not {len(snapshots)}")
    expect({row["snapshot_timestamp"] for row in snapshots} == {first, second}, "the snapshot table has both snapshots")
    expect(len(latest) == 2, f"the view has two rows, not {len(latest)}")
    expect({row["snapshot_timestamp"] for row in latest} == {second}, "the view has only the later snapshot")

    console.rule(f"{FILMS:,} films with varying attributes")
    put_items(aws, "Films", ("imdb_id",), films())
    exports.append(export(aws, deploy(aws, "Films"), "Films"))
    [counted] = show(aws, "SELECT count(*) AS films, count(box_office) AS with_box_office FROM films")
    expect(counted["films"] == str(FILMS), f"the view has {FILMS} films, not {counted['films']}")
    show(
        aws,
        "SELECT title, year, runtime, element_at(genres, 1) AS genre, critics.meter AS critics, box_office "
        "FROM films WHERE box_office > 900000000 ORDER BY box_office DESC LIMIT 8",
    )

    console.rule("A single-table design with three entities")
    put_items(aws, "Shop", ("pk", "sk"), SHOP)
    exports.append(export(aws, deploy(aws, "Shop", Entities=store(aws, ENTITIES)), "Shop"))
    show(aws, "SELECT user_id, name, status, cities FROM shop_users ORDER BY user_id")
    show(aws, "SELECT user_id, order_id, status, placed, gift FROM shop_orders ORDER BY order_id")
    totals = show(
        aws,
        "SELECT name, o.order_id, o.status, sum(quantity * price) AS total FROM shop_users "
        "JOIN shop_orders AS o USING (user_id) JOIN shop_order_lines AS l ON l.order_id = o.order_id "
        "GROUP BY name, o.order_id, o.status ORDER BY o.order_id",
    )
    expect(
        [(row["name"], row["status"], row["total"]) for row in totals]
        == [("Ada", "20", "34.90"), ("Ada", "30", "32.35")],
        f"the totals of Ada's orders are 34.90 and 32.35, not {totals}",
    )

    console.rule("All pipelines")
    console.print("[cyan]table-exports status[/]")
    expect(table_exports(aws, "status").returncode == 0, "no pipeline needs attention")

    console.rule("What the exports cost")
    summarise(exports)
    console.print(
        "\n[bold green]All checks passed.[/] Run `make sandbox` to keep a sandbox running for your own clients."
    )


# ------------------------------------------------------------------------------------------------------- the sandbox


class Clients:
    """boto3 clients of the sandbox."""

    def __init__(self, endpoint: str) -> None:
        session = boto3.Session("test", "test", region_name="us-east-1")
        self.endpoint = endpoint
        services = ("athena", "cloudformation", "dynamodb", "events", "s3", "sqs")
        for service in services:
            setattr(self, service, session.client(service, endpoint_url=endpoint))
        self.tables = session.resource("dynamodb", endpoint_url=endpoint)


@contextmanager
def sandbox(*options: str) -> Iterator[str]:
    """Runs the sandbox while the context lasts. Yields its endpoint."""
    command = [sys.executable, "-m", "sandbox", "--port", str(free_port()), *options]
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if line.startswith("ready "):
                endpoint = line.split()[1]
                console.print(
                    f"The sandbox is running and the common stack is deployed ({time.monotonic() - started:.1f} s)"
                )
                console.print(f"All pipelines in a browser, while the demo runs: {endpoint}/_sandbox/pipelines")
                yield endpoint
                break
        else:
            raise CheckFailed("the sandbox starts; the messages above say why it did not")
    finally:
        process.terminate()
        process.wait(30)


def put_items(aws: Clients, table: str, key: tuple[str, ...], items: list[dict[str, Any]]) -> None:
    kinds = zip(key, ("HASH", "RANGE"), strict=False)
    aws.dynamodb.create_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in key],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in kinds],
        BillingMode="PAY_PER_REQUEST",
    )
    with aws.tables.Table(table).batch_writer() as batch:
        for item in items:
            batch.put_item(Item=item)
    console.print(f"DynamoDB table {table} has {len(items):,} items")


def films() -> list[dict[str, Any]]:
    """Returns films with missing attributes, null values, and some titles that are numbers."""
    database = sqlite3.connect(Path(bokeh_sampledata.__file__).parent / "_data/movies.db")
    columns = 'imdbID, Title, Year, omdb.Rating, Runtime, Genre, "Cast", Oscars, BoxOffice, Production'
    columns += ", tomatoes.Rating, Meter, Reviews"
    best_known = "FROM omdb JOIN tomatoes USING (ID) GROUP BY imdbID ORDER BY Reviews DESC LIMIT ?"
    rows = database.execute(f"SELECT {columns} {best_known}", (FILMS,))
    return [film(*row) for row in rows]


def film(
    imdb_id: str, title: str, year: int, rating: str | None, runtime: float | None, genres: str, cast: str,
    oscars: int, box_office: float | None, studio: str | None, score: float | None, meter: int | None, reviews: int,
) -> dict[str, Any]:  # fmt: skip
    known = {
        "title": int(title) if title.isdigit() else title,
        "year": year,
        "runtime": Decimal(str(runtime)) if runtime else None,
        "genres": genres.split(", ") if genres else None,
        "cast": set(cast.split(", ")) if cast else None,
        "oscars": oscars or None,
        "box_office": Decimal(str(box_office)) if box_office else None,
        "studio": studio,
        "critics": {"meter": meter, "reviews": reviews} | ({"score": Decimal(str(score))} if score else {}),
    }
    return {"imdb_id": imdb_id, "rating": rating} | {name: value for name, value in known.items() if value is not None}


# --------------------------------------------------------------------------------------------------------- an export


def store(aws: Clients, entities: dict[str, Any]) -> str:
    """Stores a block `Entities`, as `make deploy` does. Returns the parameter of the table stack."""
    content = json.dumps({"version": 1, "entities": entities}).encode()
    key = f"table-exports/entities/{hashlib.sha256(content).hexdigest()}.json"
    aws.s3.put_object(Bucket=ARTIFACTS, Key=key, Body=content)
    return f"{ARTIFACTS}/{key}"


def deploy(aws: Clients, table: str, **parameters: str) -> dict[str, str]:
    """Deploys a table stack. Returns its outputs."""
    given = {"TableName": table} | parameters
    name = f"table-exports-{table.lower()}"
    aws.cloudformation.create_stack(
        StackName=name,
        TemplateBody=(ROOT / "build/table.yaml").read_text(),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    aws.cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    [stack] = aws.cloudformation.describe_stacks(StackName=name)["Stacks"]
    console.print(f"Table stack {name} is deployed")
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def export(aws: Clients, pipeline: dict[str, str], name: str) -> FinishedExport:
    """Exports a table, and shows its stages as they pass."""
    console.print(f"\n[bold]{name}[/]: [cyan]table-exports run {pipeline['Pipeline']} --wait[/]")
    requested = time.time()
    ran = table_exports(aws, "run", pipeline["Pipeline"], "--wait")
    expect(ran.returncode == 0, f"the export of {name} succeeds")
    shown = table_exports(aws, "show", pipeline["Pipeline"], "--output", "json", stdout=subprocess.PIPE)
    events = receive_events(aws, until="Export Succeeded")
    with urlopen(f"{aws.endpoint}/_sandbox/calls?since={requested}") as answer:
        calls = [call for call in json.load(answer) if call["caller"] not in NO_SERVICE]
    return FinishedExport(name, json.loads(shown.stdout), calls, events)


def table_exports(aws: Clients, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Runs the command line as an operator does."""
    settings = {"AWS_ENDPOINT_URL": aws.endpoint, "AWS_REGION": "us-east-1"}
    settings |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "COLUMNS": str(console.width)}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [Path(sys.executable).with_name("table-exports"), *arguments]
    return subprocess.run(command, env=inherited | settings, timeout=TIMEOUT_SECONDS, **options)


# ------------------------------------------------------------------------------------------- events, queries, summary


def subscribe(aws: Clients) -> None:
    """Creates a queue that receives the events of every export, as you would to extend the pipeline."""
    aws.queue = aws.sqs.create_queue(QueueName="demo-events")["QueueUrl"]
    arn = aws.sqs.get_queue_attributes(QueueUrl=aws.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["table-exports"], "detail-type": [{"anything-but": "Export Requested"}]}
    aws.events.put_rule(Name="demo-events", EventBusName="table-exports", EventPattern=json.dumps(pattern))
    aws.events.put_targets(Rule="demo-events", EventBusName="table-exports", Targets=[{"Id": "queue", "Arn": arn}])


def receive_events(aws: Clients, until: str) -> list[str]:
    events, deadline = [], time.time() + 30
    while until not in events:
        expect(time.time() < deadline, f"the event {until} is published; received {events}")
        found = aws.sqs.receive_message(QueueUrl=aws.queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in found.get("Messages", []):
            events.append(json.loads(message["Body"])["detail-type"])
            aws.sqs.delete_message(QueueUrl=aws.queue, ReceiptHandle=message["ReceiptHandle"])
    return events


def show(aws: Clients, sql: str) -> list[dict[str, str]]:
    """Runs a query in Athena, prints its rows and returns them."""
    console.print(f"\n[cyan]{sql}[/]")
    query = aws.athena.start_query_execution(
        QueryString=sql,
        QueryExecutionContext={"Database": "dynamodb_exports"},
        ResultConfiguration={"OutputLocation": RESULTS},
    )["QueryExecutionId"]
    while True:
        status = aws.athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
        if status["State"] not in ("QUEUED", "RUNNING"):
            break
        time.sleep(POLL_SECONDS)
    expect(status["State"] == "SUCCEEDED", f"{sql}: {status.get('StateChangeReason')}")
    rows = aws.athena.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
    header, *values = [[cell.get("VarCharValue", "") for cell in row["Data"]] for row in rows]
    table = Table(*header)
    for row in values:
        table.add_row(*row)
    console.print(table)
    return [dict(zip(header, row, strict=True)) for row in values]


def summarise(exports: list[FinishedExport]) -> None:
    """Prints the AWS calls that each function and the job made for each export, and the number of events."""
    counted = [Counter((call["caller"], action_name(call)) for call in done.calls) for done in exports]
    table = Table("", "AWS calls", *(done.name for done in exports))
    above = None
    for caller, what in sorted({key for counts in counted for key in counts}):
        shown = "" if caller == above else {"glue": "the Glue job"}.get(caller, caller)
        table.add_row(shown, what, *(str(counts[caller, what] or "") for counts in counted))
        above = caller
    table.add_section()
    table.add_row("all", "", *(str(counts.total()) for counts in counted))
    table.add_row("events published", "the request included", *(str(1 + len(done.events)) for done in exports))
    console.print(table)


def action_name(call: dict[str, Any]) -> str:
    """Returns the name of the action. S3 has methods and paths instead."""
    return f"S3 {call['action'].split()[0]}" if call["service"] == "s3" else call["action"]


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise CheckFailed(what)


if __name__ == "__main__":
    main()
