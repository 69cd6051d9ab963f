"""boto3 clients of the sandbox's own endpoint, as root or in a role."""

import threading
import time
from functools import lru_cache
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ACCOUNT = "123456789012"
REGION = "us-east-1"
CLIENTS = 64  # kept at most: each job run and crawl has its own credentials, and a client takes megabytes
SESSION_SECONDS = 1800.0  # until a role is assumed again; a session lasts twice as long
CALLER = "sandbox"  # what the call log shows for the sandbox's own calls


class Credentials(NamedTuple):
    access_key: str
    secret_key: str
    session_token: str | None = None


ROOT = Credentials("test", "test")


class Cloud:
    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._session = boto3.Session()  # one for all: it reads each service's model once
        self._lock = threading.Lock()  # a session is for one thread at a time; the clients it makes are for many
        self._known_client = lru_cache(CLIENTS)(self._new_client)
        self._roles: dict[str, str] = {}  # by access key
        self._role_names: dict[str, str] = {}  # of sessions that others have begun, by access key
        self._assumed: dict[tuple[str, str], tuple[float, Credentials]] = {}

    def client(self, service: str, credentials: Credentials = ROOT) -> Any:
        with self._lock:
            return self._known_client(service, credentials)

    def _new_client(self, service: str, credentials: Credentials) -> Any:
        return self._session.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.session_token,
            config=Config(user_agent_appid=CALLER, max_pool_connections=50, s3={"addressing_style": "path"}),
        )

    def assume(self, role: str, session: str) -> Credentials:
        """Returns temporary credentials of a role, given by ARN or name."""
        arn = role if role.startswith("arn:") else f"arn:aws:iam::{ACCOUNT}:role/{role}"
        issued_at, credentials = self._assumed.get((arn, session), (-SESSION_SECONDS, ROOT))
        if time.monotonic() - issued_at >= SESSION_SECONDS:
            issued = self.client("sts").assume_role(RoleArn=arn, RoleSessionName=session)["Credentials"]
            credentials = Credentials(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])
            self._assumed[arn, session] = time.monotonic(), credentials
            self._roles[credentials.access_key] = arn
        return credentials

    def role_of(self, access_key: str | None) -> str | None:
        """Returns the ARN of the role that the sandbox assumed with this key, or None."""
        return self._roles.get(access_key or "")

    def note_session(self, access_key: str, role_name: str) -> None:
        """Remembers the role of a session that someone else has begun."""
        self._role_names[access_key] = role_name

    def role_name(self, access_key: str | None, app: str | None) -> str | None:
        """Returns the name of the role of a call: of its session, or of the function that it calls itself."""
        if role := self.role_of(access_key):
            return role.rpartition("/")[2]
        if name := self._role_names.get(access_key or ""):
            return name
        if app in (None, CALLER):
            return None
        try:
            function = self.client("lambda").get_function_configuration(FunctionName=f"table-exports-{app}")
        except ClientError:
            return None
        return function["Role"].rpartition("/")[2]

    def caller(self, app: str | None) -> Credentials:
        """Returns credentials for a caller: the function's role if it calls itself `app/<function>`, else root."""
        if app in (None, CALLER):
            return ROOT
        try:
            function = self.client("lambda").get_function_configuration(FunctionName=f"table-exports-{app}")
        except ClientError:
            return ROOT
        return self.assume(function["Role"], app)


def split_uri(uri: str) -> tuple[str, str]:
    """Returns bucket and key of s3://bucket/key."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
