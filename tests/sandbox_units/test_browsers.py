"""What a web page that a developer visits can send to the sandbox, with its well-known keys: all of it is refused."""

import http.client
import socket
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PAGE = "https://page.example"
SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"


@pytest.fixture
def send(endpoint):
    """Sends what a browser would send. Returns status, headers and body; `endpoint.forwarded` must stay as it is."""
    address = urlsplit(endpoint.url)

    def sent(method, path, body=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection(address.hostname, address.port)) as connection:
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()

    sent.own = f"http://{address.netloc}"
    return sent


def presigned(url):
    request = AWSRequest("GET", url)
    SigV4QueryAuth(Credentials("test", "test"), "sqs", "us-east-1").add_auth(request)
    prepared = urlsplit(request.prepare().url)
    return f"{prepared.path}?{prepared.query}"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {"Authorization": SIGNED.format("dynamodb"), "X-Amz-Target": "DynamoDB_20120810.ListTables"}),
        ("/bucket/key", {"Authorization": SIGNED.format("s3")}),
        ("/", {"Content-Type": "text/plain"}),  # a simple request: the browser asks for no permission
        ("/_sandbox/pipelines", {"Content-Type": "application/x-www-form-urlencoded"}),
        ("/_sandbox/faults", {"Content-Type": "text/plain"}),
        ("/_sandbox/properties", {"Content-Type": "text/plain"}),
    ],
)
def test_a_page_cannot_post(endpoint, send, path, headers):
    before = list(endpoint.forwarded)
    for origin in (PAGE, "null", "http://localhost:3000", "https://127.0.0.1", ""):
        status, answered, body = send("POST", path, "view=run", Origin=origin, **headers)

        assert (status, endpoint.forwarded) == (403, before)
        assert body == f"Origin: is {origin!r}: only the sandbox's own pages may call it from a browser"
        assert not [name for name in answered if name.lower().startswith("access-control-")]


def test_a_page_gets_no_permission_from_a_preflight_request(send):
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization,x-amz-target"}

    status, headers, _ = send("OPTIONS", "/", Origin=PAGE, **asked)

    assert status == 403
    assert not [name for name in headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_an_image_or_a_link_of_a_page_cannot_call_with_a_signed_address(endpoint, send, site):
    path, before = presigned(f"{endpoint.url}/?Action=CreateQueue&QueueName=q"), list(endpoint.forwarded)

    status, _, body = send("GET", path, Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors")

    assert (status, endpoint.forwarded) == (403, before)
    assert body.startswith("Sec-Fetch-Site: is ")


@pytest.mark.parametrize("name", ["page.example", "127.0.0.1.page.example", "localhost.page.example", "0.0.0.0", ""])
def test_a_name_that_dns_points_to_this_machine_is_refused(endpoint, send, name):
    port, before = urlsplit(endpoint.url).port, list(endpoint.forwarded)

    status, _, body = send("GET", "/bucket/key", Host=f"{name}:{port}", Origin=f"http://{name}:{port}")

    assert (status, endpoint.forwarded) == (403, before)
    assert body == f"Host: is '{name}:{port}': it must be 127.0.0.1 or localhost, with port {port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.1:1", "page.example"])
def test_the_port_is_part_of_the_host(send, host):
    assert send("GET", "/_sandbox/faults", Host=host)[0] == 403


def test_a_request_without_host_is_refused(endpoint):
    address = urlsplit(endpoint.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(b"GET /_sandbox/faults HTTP/1.0\r\n\r\n")
        assert b" 403 " in connection.recv(4096)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "bucket.localhost"])
def test_the_names_of_this_machine_are_served(endpoint, send, name):
    port = urlsplit(endpoint.url).port

    assert send("GET", "/_sandbox/faults", Host=f"{name}:{port}")[0] == 200


def test_the_sandboxs_own_page_may_post(send):
    status, _, _ = send("POST", "/_sandbox/faults", "[]", Origin=send.own, Sec_Fetch_Site="same-origin")

    assert status == 200


@pytest.mark.parametrize("service", ["dynamodb", "s3"])
def test_no_page_may_read_a_response(endpoint, send, service):
    signed = {"Authorization": SIGNED.format(service), "X-Amz-Target": "DynamoDB_20120810.ListTables"}

    status, headers, _ = send("POST", "/", "{}", **signed)

    assert (status, headers["X-Of-The-Emulator"]) == (200, "kept")
    assert not [name for name in headers if name.lower().startswith("access-control-")]
