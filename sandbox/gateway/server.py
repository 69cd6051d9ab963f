"""The endpoint. It passes every call to the emulator, and lets the services complete what the emulator only stubs.

Every call goes to the emulator first, which authenticates the caller, enforces IAM policies and checks that the named
resources exist. Requests of web pages other than the sandbox's own are refused.
"""

import asyncio
import gzip
import io
import json
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from inspect import isawaitable
from urllib.parse import unquote
from xml.sax.saxutils import escape

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from sandbox.emulator.processes import kill_caller
from sandbox.gateway import browsers, protocols
from sandbox.gateway.call_log import CallLog, caller_of
from sandbox.gateway.calls import JSON, AwsError, Call, Response
from sandbox.gateway.faults import Fault, Faults
from sandbox.gateway.permissions import as_root
from sandbox.gateway.routes import Routes
from sandbox.gateway.validation import validate, validated_response

logger = logging.getLogger(__name__)

SCOPE = re.compile(r"Credential=([^/,]+)/\d{8}/[^/]+/([^/]+)/aws4_request")
REST = {  # the actions of REST protocols that have routes
    ("scheduler", "POST"): [(re.compile("/schedules/[^/]+"), "CreateSchedule")],
    ("scheduler", "PUT"): [(re.compile("/schedules/[^/]+"), "UpdateSchedule")],
}
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "upgrade", "te", "trailer"}
OWN_HEADERS = ["Accept", "Accept-Encoding", "Content-Type", "User-Agent"]  # aiohttp would add them
CHUNK = 256 * 1024
LONGEST_HEADER = 64 * 1024
PAGE_METHODS = ("GET", "HEAD", "POST")  # of the sandbox's own pages

S3Check = Callable[[str, str, str | None, str | None], None]  # method, path, access key, caller. Raises AwsError
Page = Callable[[web.Request], object]  # returns JSON content, or an awaitable response


class Gateway:
    def __init__(self, calls: CallLog, faults: Faults) -> None:
        self._calls, self._faults = calls, faults
        self.emulator_url = ""
        self.emulator_session = 0  # the session id of its processes
        self.routes = Routes()
        self.pages: dict[str, Page] = {}
        self.s3_check: S3Check | None = None
        self._session: aiohttp.ClientSession
        self._runner: web.AppRunner

    async def start(self, port: int) -> None:
        """Listens on the port. Raises OSError if the port is in use."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64, "api"))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
        )
        app = web.Application(middlewares=[refuse_other_pages])
        app.router.add_route("*", "/_sandbox/faults", self._faults.serve)
        app.router.add_route("*", "/_sandbox/{page}", self._page)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
            shutdown_timeout=1,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", port).start()
        except OSError:
            await self.stop()
            raise

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens: host and port."""
        return self._runner.addresses

    async def stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _page(self, request: web.Request) -> web.Response:
        page = self.pages.get(request.match_info["page"])
        if page is None:
            raise web.HTTPNotFound
        if request.method not in PAGE_METHODS:
            raise web.HTTPMethodNotAllowed(request.method, PAGE_METHODS)
        content = page(request)
        response = await content if isawaitable(content) else web.json_response(content)
        response.headers.update(browsers.PAGE_HEADERS)
        return response

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        access_key, service = scope(request)
        caller = caller_of(request.headers.get("User-Agent", ""))
        if service == "s3" or not service:
            return await self._serve_s3(request, service or "", caller, access_key)
        body = await request.content.read()
        action = action_of(request, body, service)
        call = Call(request.method, request.raw_path, request.headers, body, service, action, caller, access_key)
        fault = self._faults.of_call(caller, service, action)
        if fault and fault.do == "refuse":
            response = Response.of_error(call, AwsError(fault.error, fault.message))
        else:
            response = await self._answer(call)
        self._calls.record(caller, service, action, response.status)
        if fault and fault.do != "refuse":
            return await self._never_answer(request, fault)
        return web.Response(status=response.status, headers=response.headers, body=response.body)

    async def _serve_s3(
        self, request: web.Request, service: str, caller: str | None, access_key: str | None
    ) -> web.StreamResponse:
        """Streams the bodies, which can be large."""
        path = unquote(request.raw_path.partition("?")[0])
        action = f"{request.method} {path}"
        fault = self._faults.of_call(caller, service, action)
        if fault and fault.do == "refuse":
            error = AwsError(fault.error, fault.message)
            return await self._refuse_s3(request, service, caller, error, HTTPStatus.SERVICE_UNAVAILABLE)
        if self.s3_check:
            try:
                await asyncio.to_thread(self.s3_check, request.method, path, access_key, caller)
            except AwsError as error:
                return await self._refuse_s3(request, service, caller, error, HTTPStatus.FORBIDDEN)
        async with self._passed_on(request) as upstream:
            self._calls.record(caller, service, action, upstream.status)
            if fault:
                return await self._never_answer(request, fault)
            return await self._stream(request, upstream)

    async def _refuse_s3(
        self, request: web.Request, service: str, caller: str | None, error: AwsError, status: HTTPStatus
    ) -> web.Response:
        await request.read()
        self._calls.record(caller, service, f"{request.method} {unquote(request.raw_path.partition('?')[0])}", status)
        code, message = escape(error.content["__type"]), escape(error.content["message"])
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return web.Response(status=status, content_type="application/xml", text=text)

    async def _never_answer(self, request: web.Request, fault: Fault) -> web.Response:
        """Closes the connection without a response, and kills the caller if the fault says so."""
        logger.info("Fault %s for %s", fault.do, request.headers.get("User-Agent"))
        connection = request.transport
        if connection and fault.do == "kill":
            near, far = connection.get_extra_info("sockname"), connection.get_extra_info("peername")
            await asyncio.to_thread(kill_caller, near, far, self.emulator_session)
        if connection:
            connection.abort()
        return web.Response()

    async def _answer(self, call: Call) -> Response:
        if call.service != protocols.SERVICE:
            return await self._answer_in_its_protocol(call)
        try:
            in_json = protocols.in_json(call)
        except AwsError as error:
            return protocols.as_asked(call, Response(403, JSON, json.dumps(error.content).encode()))
        return protocols.as_asked(call, await self._answer_in_its_protocol(in_json))

    async def _answer_in_its_protocol(self, call: Call) -> Response:
        try:
            action = call.service, call.action
            validate(call)
            if prepare := self.routes.requests.get(action):
                call = await asyncio.to_thread(prepare, call)
            response = validated_response(call, await self._forward(call))
            recheck = self.routes.denials.get(action)
            if recheck and response.denied and await asyncio.to_thread(recheck, call, response):
                response = await self._forward(as_root(call))
            handler = self.routes.handlers.get(action)
            if handler is None or response.denied:
                return response
            own = await asyncio.to_thread(handler, call, response)
            return own if isinstance(own, Response) else Response.of(own)
        except AwsError as error:
            return Response.of_error(call, error)
        except Exception as error:
            logger.exception("%s %s failed in the sandbox", call.service, call.action)
            return Response.of_error(call, AwsError("InternalServiceException", f"The sandbox failed: {error!r}"))

    async def _forward(self, call: Call) -> Response:
        async with self._session.request(
            call.method,
            URL(self.emulator_url + call.path, encoded=True),
            headers=end_to_end(call.headers),
            data=io.BytesIO(call.body) if call.body else None,  # bytes over 1 MB would block the event loop
            skip_auto_headers=OWN_HEADERS,
            allow_redirects=False,
        ) as response:
            return Response(response.status, end_to_end(response.headers), await response.read())

    def _passed_on(self, request: web.Request) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = end_to_end(request.headers, keep_length=True)
        headers["X-Forwarded-Proto"] = "https"  # a bucket policy can require TLS
        return self._session.request(
            request.method,
            URL(self.emulator_url + request.raw_path, encoded=True),
            headers=headers,
            data=request.content.iter_chunked(CHUNK) if request.can_read_body else None,
            skip_auto_headers=OWN_HEADERS,
            allow_redirects=False,
        )

    @staticmethod
    async def _stream(request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        kept = end_to_end(upstream.headers, keep_length=True)
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=kept)
        await response.prepare(request)
        if request.method != "HEAD" and upstream.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            async for chunk in upstream.content.iter_chunked(CHUNK):
                await response.write(chunk)
        await response.write_eof()
        return response


@web.middleware
async def refuse_other_pages(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    own_port = request.get_extra_info("sockname")[1]
    if reason := browsers.refusal(request.headers, (own_port,)):
        logger.warning("Refused %s %s: %s", request.method, request.rel_url.raw_path, reason)
        raise web.HTTPForbidden(text=reason)
    return await handler(request)


def scope(request: web.Request) -> tuple[str | None, str | None]:
    """Returns the access key and the service that the request is signed for."""
    signed = request.headers.get("Authorization") or f"Credential={request.query.get('X-Amz-Credential', '')}"
    found = SCOPE.search(signed)
    return (found[1], found[2]) if found else (None, None)


def action_of(request: web.Request, body: bytes, service: str) -> str:
    """Returns the API action. For a REST protocol it is method and path, unless REST has its name."""
    if target := request.headers.get("X-Amz-Target"):
        return target.rpartition(".")[2]
    path = unquote(request.raw_path.partition("?")[0])
    if "/operation/" in path:
        return path.rpartition("/")[2]
    if request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        form = gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
        found = re.search(rb"(?:^|&)Action=(\w+)", form)
        return found[1].decode() if found else ""
    named = [
        action for path_of_action, action in REST.get((service, request.method), ()) if path_of_action.fullmatch(path)
    ]
    return named[0] if named else f"{request.method} {path}"


def end_to_end(headers: "CIMultiDict[str]", keep_length: bool = False) -> "CIMultiDict[str]":
    """Returns the headers without those of a connection or CORS, and without Content-Length if the body can change."""
    dropped = HOP_BY_HOP if keep_length else HOP_BY_HOP | {"content-length"}
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in dropped and not name.lower().startswith(browsers.CORS_HEADERS)
    )
