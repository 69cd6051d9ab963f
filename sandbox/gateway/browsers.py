"""Recognizes requests of web pages other than the sandbox's own.

Every page that a developer visits can send requests to this machine, and the sandbox's keys are well known. So only
programs and the sandbox's own pages may call it. The emulator loads this file by its path: it uses the standard library
only.
"""

from collections.abc import Collection, Mapping

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
OWN_SITES = ("same-origin", "none")  # none: someone entered the address
# The emulator allows each page to read its responses.
CORS_HEADERS = "access-control-"
# No page may show the sandbox's pages in a frame, where a click could be meant for something else.
PAGE_HEADERS = {"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY"}


def refusal(headers: Mapping[str, str], ports: Collection[int]) -> str | None:
    """Return why the request is refused, or None. `headers` must find lowercase names. `ports` are the server's own."""
    host = headers.get("host", "")
    if not is_loopback(host, ports):
        return f"Host: is {host!r}: it must be 127.0.0.1 or localhost, with port {min(ports)}"
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return f"Origin: is {origin!r}: only the sandbox's own pages may call it from a browser"
    site = headers.get("sec-fetch-site", "none")
    if site not in OWN_SITES:
        return f"Sec-Fetch-Site: is {site!r}: enter the address in the browser instead of following a link"
    return None


def is_loopback(host: str, ports: Collection[int]) -> bool:
    """Whether a Host header names this machine and one of the ports. DNS cannot point these names elsewhere."""
    name, _, port = host.rpartition(":")
    # S3 clients put the bucket before the name.
    return port in map(str, ports) and (name in LOOPBACK or name.endswith(".localhost"))
