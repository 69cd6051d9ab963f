"""Shows the dashboard's widget in a browser, at /_sandbox/pipelines: the function's HTML with links for its actions.

In CloudWatch a click on the element before a `cwdb-action` invokes the function. Here that element is a link, or a form
if the action needs a confirmation.
"""

import asyncio
import json
import re
from html import escape, unescape
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from sandbox.cloud import Cloud

FUNCTION = "table-exports-pipeline_widget"
REFRESHED_SECONDS = 2
NUMBERS = {"page"}
# The function escapes all values, so that no name can look like one of these.
ACTION = re.compile(r'<a class="(te-[^"]*)">(.*?)</a><cwdb-action ([^>]*)>(.*?)</cwdb-action>', re.DOTALL)
CONFIRMATION = re.compile(r'confirmation="([^"]*)"')
DOCUMENT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>table-exports</title>{refresh}
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body {{ margin: 0; padding: 8px 16px; background: {background} }} form {{ display: inline }}
details {{ display: inline-block; margin-right: 10px }} summary {{ list-style: none }}</style></head>
<body>{body}</body></html>"""


class PipelinesPage:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def serve(self, request: web.Request) -> web.Response:
        asked = dict(request.query) | dict(await request.post())
        theme = "dark" if asked.pop("theme", "") == "dark" else "light"
        if wrong := [name for name, value in asked.items() if not isinstance(value, str)]:
            raise web.HTTPBadRequest(text=f"{wrong[0]} is a file: send text")
        if wrong := [name for name in NUMBERS & asked.keys() if not asked[name].isdecimal()]:
            raise web.HTTPBadRequest(text=f"{wrong[0]} is not a number")
        parameters: dict[str, Any] = asked | {name: int(asked[name]) for name in NUMBERS & asked.keys()}
        if request.method != "POST" and parameters.get("view") in ("run", "resume"):
            raise web.HTTPMethodNotAllowed(request.method, ["POST"])
        answered = await asyncio.to_thread(self._invoke, parameters | {"widgetContext": {"theme": theme, "params": {}}})
        still = request.method == "POST" or "wanted" in parameters  # a reload would repeat an action or clear an input
        return web.Response(text=document(answered, theme, refreshed=not still), content_type="text/html")

    def _invoke(self, event: dict[str, Any]) -> str:
        answer = self._cloud.client("lambda").invoke(FunctionName=FUNCTION, Payload=json.dumps(event))
        payload = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise web.HTTPBadGateway(text=json.dumps(payload, indent=1))
        return payload


def document(html: str, theme: str, *, refreshed: bool) -> str:
    """Returns the function's HTML as a complete page."""
    background = "#0f1b2a" if theme == "dark" else "#ffffff"
    refresh = f'<meta http-equiv="refresh" content="{REFRESHED_SECONDS}">' if refreshed else ""
    return DOCUMENT.format(refresh=refresh, background=background, body=with_links(html, theme))


def with_links(html: str, theme: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        look, text, attributes, content = found.groups()
        parameters = json.loads(unescape(content))
        if confirmation := CONFIRMATION.search(attributes):
            fields = "".join(
                f'<input type="hidden" name="{escape(name)}" value="{escape(str(value))}">'
                for name, value in (parameters | {"theme": theme}).items()
            )
            button = f'{confirmation[1]} <button class="{look}">Yes</button>'
            summary, form = f'<summary class="{look}">{text}</summary>', f'<form method="post">{fields}{button}</form>'
            return f"<details>{summary}{form}</details>"
        if parameters == {"view": "overview"} and "te-button" in look:
            return f'<input type="hidden" name="theme" value="{theme}"><button class="{look}">{text}</button>'
        address = "?" + urlencode(parameters | {"theme": theme})
        return f'<a class="{look}" href="{escape(address)}">{text}</a>'

    return ACTION.sub(replaced, html)
