"""The sandbox's gateway, with nothing but an emulator that accepts every call behind it."""

import asyncio
import threading
from functools import cache

import boto3
import pytest
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.gateway.call_log import CallLog
from sandbox.gateway.faults import Faults
from sandbox.gateway.server import Gateway

EMULATORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "*",
    "X-Of-The-Emulator": "kept",
}


class Endpoint:
    """A gateway on a port of its own. `forwarded` lists the calls that passed it: their paths and targets."""

    def __init__(self) -> None:
        self.url = ""
        self.content = b"{}"  # of responses in JSON
        self.forwarded: list[tuple[str, str]] = []

    async def accept(self, request: web.Request) -> web.Response:
        self.forwarded.append((request.path, request.headers.get("X-Amz-Target", "")))
        if request.content_type != "application/x-www-form-urlencoded":
            return web.Response(body=self.content, content_type="text/json", headers=EMULATORS_HEADERS)
        action = (await request.post())["Action"]
        return web.Response(text=f"<Response><{action}Result/></Response>", content_type="text/xml")

    async def start(self) -> tuple[Gateway, web.AppRunner]:
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self.accept)
        emulator = web.AppRunner(app)
        await emulator.setup()
        await web.TCPSite(emulator, "127.0.0.1", 0).start()
        gateway = Gateway(CallLog(), Faults())
        await gateway.start(0)
        gateway.emulator_url = "http://127.0.0.1:{1}".format(*emulator.addresses[0])
        self.url = "http://127.0.0.1:{1}".format(*gateway.addresses[0])
        return gateway, emulator

    @cache  # noqa: B019
    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
        )

    def rejection(self, service, operation, accepted, rejected):
        """The code and message that reject the second of two calls. Only the first reaches the emulator."""
        call = self.client(service)._make_api_call
        self.forwarded.clear()

        call(operation, accepted)

        assert len(self.forwarded) == 1
        with pytest.raises(ClientError) as caught:
            call(operation, rejected)
        assert len(self.forwarded) == 1
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]


@pytest.fixture(scope="session")
def endpoint():
    served, loop = Endpoint(), asyncio.new_event_loop()
    gateway, emulator = loop.run_until_complete(served.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield served
    for runner in (gateway.stop(), emulator.cleanup()):
        asyncio.run_coroutine_threadsafe(runner, loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
