"""Job runs: each runs the job's script, unchanged, with PySpark in its own process and with the job's role.

PySpark has no file system for s3:// paths here. A script has to read and write S3 with boto3.
"""

import logging
import os
import re
import secrets
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from sandbox.cloud import REGION, Cloud, Credentials, split_uri
from sandbox.emulator.processes import stop
from sandbox.events.delivery import AwsEvents
from sandbox.gateway.calls import AwsError, Call, Response
from sandbox.gateway.routes import Routes
from sandbox.glue import spark

logger = logging.getLogger(__name__)

SPARK_JOBS = {"glueetl", "gluestreaming"}  # the emulator runs the others, Python shell jobs
ACTIVE = {"STARTING", "RUNNING", "STOPPING"}
WAITING = "WAITING"  # in the queue of its job
EVENTS = {  # the states that have one: severity, message
    "SUCCEEDED": ("INFO", "Job run succeeded"),
    "FAILED": ("ERROR", "Job run failed"),
    "TIMEOUT": ("WARN", "Job run timed out"),
    "STOPPED": ("INFO", "Job run stopped"),
}


class JobRun:
    def __init__(self, job: dict[str, Any], request: dict[str, Any], folder: Path) -> None:
        self.id = f"jr_{secrets.token_hex(32)}"
        self.job = job
        self.arguments: dict[str, str] = request.get("Arguments", {})
        self.timeout_minutes = int(request.get("Timeout") or job.get("Timeout") or 2880)
        self.folder = folder / self.id
        self.log = self.folder / "output.log"
        self.state = "STARTING"
        self.error = ""
        self.state_detail = ""
        self.started = time.time()
        self.completed: float | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.stopping = threading.Event()

    def describe(self) -> dict[str, Any]:
        """Returns the JobRun of GetJobRun."""
        end = self.completed or time.time()
        return {
            "Id": self.id,
            "JobName": self.job["Name"],
            "Attempt": 0,
            "StartedOn": self.started,
            "LastModifiedOn": end,
            "JobRunState": self.state,
            "Arguments": self.arguments,
            "PredecessorRuns": [],
            "ExecutionTime": int(end - self.started),
            "Timeout": self.timeout_minutes,
            "GlueVersion": self.job.get("GlueVersion"),
            "WorkerType": self.job.get("WorkerType"),
            "NumberOfWorkers": int(self.job.get("NumberOfWorkers") or 0),
            "LogGroupName": "/aws-glue/jobs",
            **({"CompletedOn": self.completed} if self.completed else {}),
            **({"ErrorMessage": self.error} if self.error else {}),
            **({"StateDetail": self.state_detail} if self.state_detail else {}),
        }


class JobRuns:
    def __init__(self, cloud: Cloud, events: AwsEvents, folder: Path, first_on_path: Path | None = None) -> None:
        """`first_on_path` is a folder of modules that job runs import before any others."""
        self._cloud, self._events, self._folder, self._first_on_path = cloud, events, folder, first_on_path
        self._runs: dict[str, JobRun] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------------------------------------------ the API

    def routes(self) -> Routes:
        return Routes(
            handlers={
                ("glue", "StartJobRun"): self.start,
                ("glue", "GetJobRun"): self.get,
                ("glue", "GetJobRuns"): self.list,
                ("glue", "BatchStopJobRun"): self.batch_stop,
            }
        )

    def start(self, call: Call, response: Response) -> Response | dict[str, Any]:
        if not response.ok:
            return response
        name = call.json["JobName"]
        job = self._cloud.client("glue").get_job(JobName=name)["Job"]
        if job["Command"]["Name"] not in SPARK_JOBS:
            return response
        run = JobRun(job, call.json, self._folder)
        limit = job["ExecutionProperty"]["MaxConcurrentRuns"]
        with self._lock:
            if self._active(name) >= limit:
                if not call.json.get("JobRunQueuingEnabled", job["JobRunQueuingEnabled"]):
                    raise AwsError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {name}")
                run.state, run.state_detail = WAITING, f"Waiting for one of {limit} concurrent runs of {name} to end"
            self._runs[run.id] = run
            if run.state != WAITING:
                self._begin(run)
        return {"JobRunId": run.id}

    def get(self, call: Call, response: Response) -> Response | dict[str, Any]:
        run = self._runs.get(call.json["RunId"])
        return {"JobRun": run.describe()} if run and run.job["Name"] == call.json["JobName"] else response

    def list(self, call: Call, response: Response) -> Response | dict[str, Any]:
        """Newest first."""
        runs = self._of(call.json["JobName"])[::-1]
        if not response.ok or not runs:
            return response
        start, size = int(call.json.get("NextToken", 0)), call.json.get("MaxResults", 200)
        more = {"NextToken": str(start + size)} if start + size < len(runs) else {}
        return {"JobRuns": [run.describe() for run in runs[start : start + size]], **more}

    def batch_stop(self, call: Call, response: Response) -> dict[str, Any]:
        stopped, errors = [], []
        for run_id in call.json["JobRunIds"]:
            named = {"JobName": call.json["JobName"], "JobRunId": run_id}
            run = self._runs.get(run_id)
            if run is None or run.job["Name"] != named["JobName"]:
                code, message = "EntityNotFoundException", f"Job run {run_id} is not found"
            elif self._stop(run):
                stopped.append(named)
                continue
            else:
                code, message = "InvalidInputException", f"Job run {run_id} is in state {run.state}"
            errors.append({**named, "ErrorDetail": {"ErrorCode": code, "ErrorMessage": message}})
        return {"SuccessfulSubmissions": stopped, "Errors": errors}

    def stop_all(self) -> None:
        """Ends all runs and their processes, when the sandbox ends."""
        for run in self._runs.values():
            run.stopping.set()
            if run.process:
                stop(run.process)

    def _stop(self, run: JobRun) -> bool:
        """Stops a run, also in the queue. Returns False if it has ended."""
        with self._lock:
            waited = run.state == WAITING
            if not waited and run.state not in ACTIVE:
                return False
            run.stopping.set()
            run.state = "STOPPING"
        if waited:
            self._end(run, "STOPPED", "")
        return True

    def _of(self, job: str) -> "list[JobRun]":
        return [run for run in list(self._runs.values()) if run.job["Name"] == job]

    def _active(self, job: str) -> int:
        return sum(run.state in ACTIVE for run in self._of(job))

    # ------------------------------------------------------------------------------------------------ a run

    def _begin(self, run: JobRun) -> None:
        run.state, run.state_detail, run.started = "STARTING", "", time.time()
        threading.Thread(target=self._run, args=[run], name=run.id[:12], daemon=True).start()

    def _begin_waiting(self, job: dict[str, Any]) -> None:
        """Begins the runs in the job's queue, the oldest first, as many as there may be."""
        with self._lock:
            for run in self._of(job["Name"]):
                free = self._active(job["Name"]) < job["ExecutionProperty"]["MaxConcurrentRuns"]
                if free and run.state == WAITING and not run.stopping.is_set():
                    self._begin(run)

    def _run(self, run: JobRun) -> None:
        try:
            state, error = self._execute(run)
        except (ClientError, OSError) as failure:
            state, error = "FAILED", str(failure)
        except Exception as failure:
            logger.exception("Job run %s failed in the sandbox", run.id)
            state, error = "FAILED", f"The sandbox failed: {failure!r}"
        self._end(run, state, error)
        self._begin_waiting(run.job)

    def _end(self, run: JobRun, state: str, error: str) -> None:
        run.completed, run.error, run.state = time.time(), error, state
        severity, message = EVENTS[state]
        self._events.send(
            "aws.glue",
            "Glue Job State Change",
            {
                "jobName": run.job["Name"],
                "severity": severity,
                "state": state,
                "jobRunId": run.id,
                "message": error if state == "FAILED" and error else message,
            },
        )

    def _execute(self, run: JobRun) -> tuple[str, str]:
        """Runs the script. Returns the final state and error message."""
        run.folder.mkdir(parents=True)
        credentials = self._cloud.assume(run.job["Role"], "GlueJobRunnerSession")
        script = run.folder / Path(run.job["Command"]["ScriptLocation"]).name
        bucket, key = split_uri(run.job["Command"]["ScriptLocation"])
        self._cloud.client("s3", credentials).download_file(bucket, key, str(script))
        modules = [*self._additional_modules(run, credentials), *self._extra_files(run, credentials)]
        if self._first_on_path:
            modules.insert(0, str(self._first_on_path.resolve()))
        arguments = {
            **run.job.get("DefaultArguments", {}),
            **run.arguments,
            "--JOB_NAME": run.job["Name"],
            "--JOB_RUN_ID": run.id,
        }
        with run.log.open("wb") as log:
            run.process = subprocess.Popen(
                [sys.executable, script.name, *(word for argument in arguments.items() for word in argument)],
                cwd=run.folder,
                env=self._environment(run, credentials) | {"PYTHONPATH": os.pathsep.join(modules)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if not run.stopping.is_set():
            run.state = "RUNNING"
        return outcome(run)

    def _additional_modules(self, run: JobRun, credentials: Credentials) -> "list[str]":
        """Unpacks the wheels of --additional-python-modules. Returns folders for the module path."""
        arguments = {**run.job.get("DefaultArguments", {}), **run.arguments}
        folders = []
        for uri in filter(None, arguments.get("--additional-python-modules", "").split(",")):
            if not uri.startswith("s3://") or not uri.endswith(".whl"):
                raise OSError(f"--additional-python-modules: the sandbox installs only wheels from S3, not {uri}")
            bucket, key = split_uri(uri)
            wheel = run.folder / Path(key).name
            self._cloud.client("s3", credentials).download_file(bucket, key, str(wheel))
            folders.append(str(run.folder / wheel.stem))
            zipfile.ZipFile(wheel).extractall(folders[-1])
        return folders

    def _extra_files(self, run: JobRun, credentials: Credentials) -> "list[str]":
        """The files of --extra-py-files, for the module path. Executors inherit it from the driver."""
        arguments = {**run.job.get("DefaultArguments", {}), **run.arguments}
        files = []
        for uri in filter(None, arguments.get("--extra-py-files", "").split(",")):
            bucket, key = split_uri(uri)
            files.append(str(run.folder / Path(key).name))
            self._cloud.client("s3", credentials).download_file(bucket, key, files[-1])
        return files

    def _environment(self, run: JobRun, credentials: Credentials) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(run.folder),
            "TMPDIR": str(run.folder),
            "PYTHONUNBUFFERED": "1",
            "AWS_ENDPOINT_URL": self._cloud.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": credentials.session_token or "",
            "AWS_SDK_UA_APP_ID": "glue",  # the name of the job's calls in the call log
        } | spark.environment(scratch=run.folder / "spark")


def outcome(run: JobRun) -> tuple[str, str]:
    """Waits for the end of the run. Returns its state and error message."""
    deadline = run.started + 60 * run.timeout_minutes
    while run.process.poll() is None:
        if run.stopping.wait(0.1):
            stop(run.process)
            return "STOPPED", ""
        if time.time() > deadline:
            stop(run.process)
            return "TIMEOUT", f"Job run exceeded its timeout of {run.timeout_minutes} minutes"
    if run.process.returncode < 0:
        return "FAILED", f"The job's process was killed by signal {-run.process.returncode}"
    if run.process.returncode != 0:
        return "FAILED", last_exception(run.log.read_text(errors="replace"))
    return "SUCCEEDED", ""


def last_exception(log: str) -> str:
    """Returns the line with the last exception of a Python log, or else its last line."""
    lines = log.rpartition("Traceback (most recent call last):")[2].splitlines()
    named = (line for line in lines if re.match(r"[\w.]+(:|$)", line))
    return next(named, next((line for line in reversed(lines) if line.strip()), "The script ended with an error"))
