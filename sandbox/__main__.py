"""Runs the sandbox until SIGINT or SIGTERM. Prints `ready <endpoint>` when it accepts calls."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from sandbox.athena.duckdb_engine import DuckDbEngine
from sandbox.athena.queries import Queries
from sandbox.athena.statements import Engine
from sandbox.athena.trino_engine import TrinoEngine
from sandbox.cloud import ACCOUNT, REGION, Cloud
from sandbox.cloudformation.properties import Properties
from sandbox.cloudformation.templates import Templates
from sandbox.cloudwatch.alarms import Alarms
from sandbox.cloudwatch.saved_queries import SavedQueries
from sandbox.cloudwatch.service_metrics import ServiceMetrics
from sandbox.deploy import deploy
from sandbox.dynamodb.stream_reads import StreamReads
from sandbox.dynamodb.table_exports import TableExports
from sandbox.emulator.ministack import CannotStart, Emulator
from sandbox.events.archives import Archives
from sandbox.events.delivery import AwsEvents
from sandbox.events.schedules import Schedules, TimeZones
from sandbox.gateway.call_log import CallLog
from sandbox.gateway.faults import Faults
from sandbox.gateway.server import Gateway
from sandbox.glue.crawls import Crawls
from sandbox.glue.job_runs import JobRuns
from sandbox.glue.partitions import Partitions
from sandbox.glue.permissions import Permissions as GluePermissions
from sandbox.glue.responses import Responses
from sandbox.kms.keys import Keys
from sandbox.pipelines_page import PipelinesPage
from sandbox.sqs.message_moves import MessageMoves
from sandbox.trino.install import why_missing
from sandbox.trino.server import TrinoServer

TO_TRY = """
All pipelines in a browser: {endpoint}/_sandbox/pipelines

To try it, run in another shell (docs/sandbox.md explains more):

export AWS_ENDPOINT_URL={endpoint} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
aws dynamodb create-table --table-name Orders --billing-mode PAY_PER_REQUEST \\
    --attribute-definitions AttributeName=id,AttributeType=S --key-schema AttributeName=id,KeyType=HASH
aws dynamodb put-item --table-name Orders --item '{{"id": {{"S": "1"}}, "total": {{"N": "9.99"}}}}'
aws cloudformation deploy --stack-name orders --template-file build/table.yaml --capabilities CAPABILITY_IAM \\
    --parameter-overrides TableName=Orders
.venv/bin/table-exports run orders-parquet --wait
aws glue get-tables --database-name dynamodb_exports --query 'TableList[].Name'
aws athena start-query-execution --query-string 'SELECT * FROM dynamodb_exports.orders' \\
    --result-configuration OutputLocation=s3://table-exports-{account}-{region}/query-results/
"""


def port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text} is not a port: enter a number from 1 to 65535")
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--port", type=port, default=4566, help="port of the endpoint (default: %(default)s)")
    parser.add_argument(
        "--engine",
        choices=("duckdb", "trino"),
        default="duckdb",
        help="what runs the queries of Athena. trino is the engine that Athena is based on; it needs 14 seconds to "
        "start, and about 1 GB of memory (default: %(default)s)",
    )
    parser.add_argument("--no-deploy", action="store_true", help="do not deploy the common stack")
    parser.add_argument(
        "--state-dir", type=Path, help="keep logs and data in this folder (default: a temporary folder)"
    )
    parser.add_argument(
        "--alarm-minute",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long one minute of a CloudWatch alarm lasts (default: %(default)s)",
    )
    parser.add_argument(
        "--job-modules",
        type=Path,
        metavar="FOLDER",
        help="modules that Glue jobs import before any others. Tests replace Spark this way (default: none)",
    )
    options = parser.parse_args()
    if options.engine == "trino" and (reason := why_missing()):
        parser.error(f"--engine trino: {reason}")
    os.environ["AWS_DEFAULT_REGION"] = REGION  # the SAM translator reads it
    os.environ.pop("AWS_PROFILE", None)  # the sandbox has its own credentials
    with tempfile.TemporaryDirectory(prefix="sandbox-", ignore_cleanup_errors=True) as temporary:
        folder = (options.state_dir or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        logging.basicConfig(
            filename=folder / "sandbox.log", level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
        )
        try:
            # asyncio.run would wait for threads that still call the emulator, which has ended
            loop = asyncio.new_event_loop()
            loop.run_until_complete(run(options, folder))
        except CannotStart as error:
            print(error, file=sys.stderr)
            return 1
    return 0


async def run(options: argparse.Namespace, folder: Path) -> None:
    """Raises CannotStart."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        start = asyncio.create_task(start_cloud(options, folder, stack))
        stop = asyncio.create_task(stopped.wait())
        await asyncio.wait([start, stop], return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            await start
            await stop


async def start_cloud(options: argparse.Namespace, folder: Path, stack: AsyncExitStack) -> None:
    """Starts everything; `stack` will end what was started. Raises CannotStart."""
    endpoint = f"http://127.0.0.1:{options.port}"
    calls, faults, cloud = CallLog(), Faults(), Cloud(endpoint)
    gateway = Gateway(calls, faults)
    try:
        await gateway.start(options.port)
    except OSError as error:
        problem = f"Port {options.port} cannot be used ({error.strerror}): choose another with --port"
        raise CannotStart(problem) from error
    stack.push_async_callback(gateway.stop)
    emulator = Emulator(endpoint, folder)
    stack.push_async_callback(asyncio.to_thread, emulator.stop)
    await asyncio.to_thread(emulator.wait_until_ready)
    gateway.emulator_url, gateway.emulator_session = emulator.url, emulator.process.pid

    trino = start_trino(endpoint, folder, stack) if options.engine == "trino" else None
    engine: Engine = TrinoEngine(trino.url) if trino else DuckDbEngine()
    events, past_the_gateway = AwsEvents(cloud, faults), Cloud(emulator.url)
    templates, runs = Templates(cloud), JobRuns(cloud, events, folder / "glue", options.job_modules)
    stack.push_async_callback(asyncio.to_thread, runs.stop_all)
    alarms = Alarms(cloud, ServiceMetrics(cloud, past_the_gateway, events).collect, options.alarm_minute)
    stack.callback(alarms.stop)
    keys = Keys(cloud, past_the_gateway)
    gateway.s3_check = keys.check_object
    for service in (
        alarms,
        Archives(cloud, past_the_gateway, events),
        Crawls(cloud, events),
        GluePermissions(cloud),
        keys,
        MessageMoves(cloud),
        Partitions(cloud),
        Queries(cloud, past_the_gateway, events, engine),
        Responses(),
        runs,
        SavedQueries(),
        StreamReads(cloud),
        TableExports(cloud, past_the_gateway),
        templates,
        TimeZones(),
    ):
        gateway.routes.add(service.routes())
    gateway.pages = {
        "health": lambda request: {"status": "ready"},
        "calls": lambda request: calls.since(seconds(request.query.get("since", "0"))),
        "events": lambda request: list(events.sent),
        "pipelines": PipelinesPage(cloud).serve,
        "properties": Properties.serve,
    }
    await asyncio.to_thread(templates.prepare)
    schedules = await asyncio.to_thread(Schedules, cloud)
    stack.callback(schedules.stop)
    if not options.no_deploy:
        await asyncio.to_thread(deploy, cloud)
    if trino:
        await asyncio.to_thread(trino.wait_until_ready)
    print(f"ready {endpoint}", flush=True)
    if not options.no_deploy:
        print(TO_TRY.format(endpoint=endpoint, account=ACCOUNT, region=REGION), flush=True)


def start_trino(endpoint: str, folder: Path, stack: AsyncExitStack) -> TrinoServer:
    """It is not ready yet, so that the rest can start meanwhile. Raises CannotStart."""
    trino = TrinoServer(endpoint, folder / "trino")
    stack.push_async_callback(asyncio.to_thread, trino.stop)
    return trino


def seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise web.HTTPBadRequest(text=f"since: {text} is not a number of seconds since 1970") from None


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # everything has ended; the interpreter's own shutdown takes seconds
