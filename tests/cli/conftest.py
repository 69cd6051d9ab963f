"""The command in this process, on records and a bus of moto."""

import json
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from table_exports_cli import app, output
from table_exports_cli.system import System


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="module")
def clients():
    """Of all commands of a module: to make them takes most of a command's time."""
    return {}


@pytest.fixture
def cli(monkeypatch, capsys, clients):
    """Runs `table-exports` with these arguments: `cli("status")`."""
    make = System.client

    def client(self: System, service: str) -> Any:
        if (self.region, service) not in clients:
            clients[self.region, service] = make(self, service)
        return clients[self.region, service]

    monkeypatch.setattr(System, "client", client)
    monkeypatch.setattr(output.out, "width", 160)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr("sys.argv", ["table-exports", *arguments])
        with pytest.raises(SystemExit) as ended:
            app.main()
        said = capsys.readouterr()
        return Said(ended.value.code or 0, said.out, said.err)

    return run


@pytest.fixture
def bus(dynamodb):
    """The bus, and an archive that counts what it was asked for."""
    events = boto3.client("events")
    arn = events.create_event_bus(Name="table-exports")["EventBusArn"]
    events.create_archive(ArchiveName="table-exports-requests", EventSourceArn=arn)
    yield events
    events.delete_archive(ArchiveName="table-exports-requests")
    events.delete_event_bus(Name="table-exports")
