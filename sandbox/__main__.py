"""`python -m sandbox` runs the local cloud until SIGINT or SIGTERM. It prints `ready <endpoint>` when it is usable."""

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

from sandbox.athena.queries import Queries
from sandbox.cloud import ACCOUNT, REGION, Cloud
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
from sandbox.events.put_events import PutEventsConditions
from sandbox.events.schedules import Schedules
from sandbox.gateway.call_log import CallLog
from sandbox.gateway.faults import Faults
from sandbox.gateway.server import Gateway
from sandbox.glue.crawls import Crawls
from sandbox.glue.job_runs import JobRuns
from sandbox.glue.permissions import Permissions as GluePermissions
from sandbox.pipelines_page import PipelinesPage
from sandbox.sqs.message_moves import MessageMoves

TO_TRY = """
All pipelines, in a browser: {endpoint}/_sandbox/pipelines

To try, in another shell (docs/sandbox.md says more):

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
        raise argparse.ArgumentTypeError(f"{text} is no port: give 1 to 65535")
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--port", type=port, default=4566, help="of the endpoint (default: %(default)s)")
    parser.add_argument("--no-deploy", action="store_true", help="leave the cloud empty")
    parser.add_argument("--state-dir", type=Path, help="for logs and data, kept (default: a temporary folder)")
    parser.add_argument(
        "--alarm-minute",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long a minute lasts for CloudWatch's alarms (default: %(default)s)",
    )
    options = parser.parse_args()
    os.environ["AWS_DEFAULT_REGION"] = REGION  # where the SAM translator looks
    os.environ.pop("AWS_PROFILE", None)  # the user's, which the stand-ins are not
    with tempfile.TemporaryDirectory(prefix="sandbox-", ignore_cleanup_errors=True) as temporary:
        folder = (options.state_dir or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        logging.basicConfig(
            filename=folder / "sandbox.log", level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
        )
        try:
            # asyncio.run would wait for stand-ins that still call what has ended
            loop = asyncio.new_event_loop()
            loop.run_until_complete(run(options.port, folder, options.alarm_minute, deploys=not options.no_deploy))
        except CannotStart as error:
            print(error, file=sys.stderr)
            return 1
    return 0


async def run(port: int, folder: Path, alarm_minute: float, deploys: bool) -> None:
    """Raises CannotStart."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        start = asyncio.create_task(start_cloud(port, folder, alarm_minute, deploys, stack))
        stop = asyncio.create_task(stopped.wait())
        await asyncio.wait([start, stop], return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            await start
            await stop


async def start_cloud(port: int, folder: Path, alarm_minute: float, deploys: bool, stack: AsyncExitStack) -> None:
    """All of it; `stack` will end what was started."""
    endpoint = f"http://127.0.0.1:{port}"
    calls, faults, cloud = CallLog(), Faults(), Cloud(endpoint)
    gateway = Gateway(calls, faults)
    try:
        await gateway.start(port)
    except OSError as error:
        raise CannotStart(f"Port {port} cannot be used ({error.strerror}): say --port with another") from error
    stack.push_async_callback(gateway.stop)
    emulator = Emulator(endpoint, folder)
    stack.push_async_callback(asyncio.to_thread, emulator.stop)
    await asyncio.to_thread(emulator.wait_until_ready)
    gateway.emulator_url, gateway.emulator_session = emulator.url, emulator.process.pid

    events, past_the_gateway = AwsEvents(cloud, faults), Cloud(emulator.url)
    templates, runs = Templates(cloud), JobRuns(cloud, events, folder / "glue")
    stack.push_async_callback(asyncio.to_thread, runs.stop_all)
    alarms = Alarms(cloud, ServiceMetrics(cloud, past_the_gateway, events).collect, alarm_minute)
    stack.callback(alarms.stop)
    for service in (
        alarms,
        Archives(cloud, past_the_gateway, events),
        Crawls(cloud, events),
        GluePermissions(cloud),
        MessageMoves(cloud),
        PutEventsConditions(cloud),
        Queries(cloud, past_the_gateway, events),
        runs,
        SavedQueries(),
        StreamReads(cloud),
        TableExports(cloud, past_the_gateway),
        templates,
    ):
        gateway.routes.add(service.routes())
    gateway.pages = {
        "health": lambda request: {"status": "ready"},
        "calls": lambda request: calls.since(seconds(request.query.get("since", "0"))),
        "events": lambda request: list(events.sent),
        "pipelines": PipelinesPage(cloud).serve,
    }
    await asyncio.to_thread(templates.prepare)
    schedules = await asyncio.to_thread(Schedules, cloud)
    stack.callback(schedules.stop)
    if deploys:
        await asyncio.to_thread(deploy, cloud)
    print(f"ready {endpoint}", flush=True)
    if deploys:
        print(TO_TRY.format(endpoint=endpoint, account=ACCOUNT, region=REGION), flush=True)


def seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise web.HTTPBadRequest(text=f"since: {text} is no number of seconds since 1970") from None


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # all is ended; the interpreter would take seconds to take itself apart
