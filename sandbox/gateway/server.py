"""The one endpoint: passes every call to the emulator, and lets stand-ins complete the services it only stubs.

A call that a stand-in answers goes to the emulator first, which so authenticates the caller, enforces its IAM policies
and checks that what the call names exists.
"""

import asyncio
import gzip
import json
import logging
import re
from collections.abc import Callable
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
from sandbox.gateway import protocols
from sandbox.gateway.call_log import CallLog, caller_of
from sandbox.gateway.calls import JSON, Answer, Call, Refused
from sandbox.gateway.faults import Fault, Faults
from sandbox.gateway.permissions import as_root
from sandbox.gateway.routes import Routes

logger = logging.getLogger(__name__)

SCOPE = re.compile(r"Credential=([^/,]+)/\d{8}/[^/]+/([^/]+)/aws4_request")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "upgrade", "te", "trailer"}
OWN_HEADERS = ["Accept", "Accept-Encoding", "Content-Type", "User-Agent"]  # that aiohttp would add by itself
CHUNK = 256 * 1024
LONGEST_HEADER = 64 * 1024
PAGE_METHODS = ("GET", "HEAD", "POST")  # of the pages that are the sandbox's own

Page = Callable[[web.Request], object]  # what /_sandbox/<name> answers: JSON, or a response that is awaited


class Gateway:
    def __init__(self, calls: CallLog, faults: Faults) -> None:
        self._calls, self._faults = calls, faults
        self.emulator_url = ""
        self.emulator_session = 0  # its processes'
        self.routes = Routes()
        self.pages: dict[str, Page] = {}
        self._session: aiohttp.ClientSession
        self._runner: web.AppRunner

    async def start(self, port: int) -> None:
        """Listen on the port. Raises OSError if it is taken."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64, "stand-in"))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
        )
        app = web.Application()
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

    async def stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _page(self, request: web.Request) -> web.Response:
        page = self.pages.get(request.match_info["page"])
        if page is None:
            raise web.HTTPNotFound
        if request.method not in PAGE_METHODS:
            raise web.HTTPMethodNotAllowed(request.method, PAGE_METHODS)
        answer = page(request)
        return await answer if isawaitable(answer) else web.json_response(answer)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        access_key, service = scope(request)
        caller = caller_of(request.headers.get("User-Agent", ""))
        if service == "s3" or not service:
            return await self._serve_s3(request, service or "", caller)
        body = await request.content.read()
        action = action_of(request, body)
        call = Call(request.method, request.raw_path, request.headers, body, service, action, caller, access_key)
        fault = self._faults.of_call(caller, service, action)
        if fault and fault.do == "refuse":
            answer = Answer.refusing(call, Refused(fault.error, fault.message))
        else:
            answer = await self._answer(call)
        self._calls.record(caller, service, action, answer.status)
        if fault and fault.do != "refuse":
            return await self._never_answer(request, fault)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def _serve_s3(self, request: web.Request, service: str, caller: str | None) -> web.StreamResponse:
        """Its bodies may be big: they pass by as they come."""
        action = f"{request.method} {unquote(request.raw_path.partition('?')[0])}"
        fault = self._faults.of_call(caller, service, action)
        if fault and fault.do == "refuse":
            await request.read()
            self._calls.record(caller, service, action, HTTPStatus.SERVICE_UNAVAILABLE)
            error = f"<Error><Code>{escape(fault.error)}</Code><Message>{escape(fault.message)}</Message></Error>"
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, content_type="application/xml", text=error)
        async with self._passed_on(request) as upstream:
            self._calls.record(caller, service, action, upstream.status)
            if fault:
                return await self._never_answer(request, fault)
            return await self._stream(request, upstream)

    async def _never_answer(self, request: web.Request, fault: Fault) -> web.Response:
        """What the caller asked for is done, and it will not hear of it."""
        logger.info("%s %s", fault.do, request.headers.get("User-Agent"))
        connection = request.transport
        if connection and fault.do == "kill":
            near, far = connection.get_extra_info("sockname"), connection.get_extra_info("peername")
            await asyncio.to_thread(kill_caller, near, far, self.emulator_session)
        if connection:
            connection.abort()
        return web.Response()

    async def _answer(self, call: Call) -> Answer:
        if call.service != protocols.SERVICE:
            return await self._answer_in_its_protocol(call)
        try:
            in_json = protocols.in_json(call)
        except Refused as refused:
            return protocols.as_asked(call, Answer(403, JSON, json.dumps(refused.content).encode()))
        return protocols.as_asked(call, await self._answer_in_its_protocol(in_json))

    async def _answer_in_its_protocol(self, call: Call) -> Answer:
        try:
            action = call.service, call.action
            if prepare := self.routes.requests.get(action):
                call = await asyncio.to_thread(prepare, call)
            answer = await self._forward(call)
            recheck = self.routes.denials.get(action)
            if recheck and answer.denied and await asyncio.to_thread(recheck, call, answer):
                answer = await self._forward(as_root(call))
            handler = self.routes.handlers.get(action)
            if handler is None or answer.denied:
                return answer
            own = await asyncio.to_thread(handler, call, answer)
            return own if isinstance(own, Answer) else Answer.of(own)
        except Refused as refused:
            return Answer.refusing(call, refused)
        except Exception as error:
            logger.exception("%s %s", call.service, call.action)
            return Answer.refusing(call, Refused("InternalServiceException", f"The sandbox failed: {error!r}"))

    async def _forward(self, call: Call) -> Answer:
        async with self._session.request(
            call.method,
            URL(self.emulator_url + call.path, encoded=True),
            headers=end_to_end(call.headers),
            data=call.body or None,
            skip_auto_headers=OWN_HEADERS,
            allow_redirects=False,
        ) as response:
            return Answer(response.status, end_to_end(response.headers), await response.read())

    def _passed_on(self, request: web.Request) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = end_to_end(request.headers, keep_length=True)
        headers["X-Forwarded-Proto"] = "https"  # as AWS is called: a bucket policy may refuse anything else
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


def scope(request: web.Request) -> tuple[str | None, str | None]:
    """Access key and service that the request is signed for."""
    signed = request.headers.get("Authorization") or f"Credential={request.query.get('X-Amz-Credential', '')}"
    found = SCOPE.search(signed)
    return (found[1], found[2]) if found else (None, None)


def action_of(request: web.Request, body: bytes) -> str:
    """The operation's name, as each protocol gives it; where its name is in no one place, method and path."""
    if target := request.headers.get("X-Amz-Target"):
        return target.rpartition(".")[2]
    path = unquote(request.raw_path.partition("?")[0])
    if "/operation/" in path:
        return path.rpartition("/")[2]
    if request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        form = gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
        found = re.search(rb"(?:^|&)Action=(\w+)", form)
        return found[1].decode() if found else ""
    return f"{request.method} {path}"


def end_to_end(headers: "CIMultiDict[str]", keep_length: bool = False) -> "CIMultiDict[str]":
    """Without what belongs to one connection. The length goes too where the body may have been replaced."""
    dropped = HOP_BY_HOP if keep_length else HOP_BY_HOP | {"content-length"}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)
