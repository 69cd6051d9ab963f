"""Shows in an AWS account, or in the sandbox, what the documentation claims, and writes a report."""

import argparse
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from acceptance import checks, environment, plan, runner
from acceptance.claims import CLAIMS, Claim, NotTrue, in_order
from acceptance.cleanup import Cleanup
from acceptance.environment import CannotRun
from acceptance.report import Result
from acceptance.world import World
from infra.deploy import CannotDeploy, artifacts
from infra.deploy.account import Account, sign_in
from infra.deploy.screen import Screen
from infra.deploy.stacks import Interrupted, StackFailed
from table_exports_cli.problems import in_words

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
LOOPBACK = r"http://(127\.0\.0\.1|localhost|\[::1\]):[0-9]+/?"
CLEAN = "To delete what is left, run: make accept CLEAN=1"
assert checks  # registers the claims


def main() -> int:
    options = read_options()
    screen = Screen(Console(), options.yes or options.sandbox or bool(options.sandbox_at))
    signal.signal(signal.SIGTERM, interrupt)
    try:
        with contextlib.ExitStack() as stack:
            if options.sandbox:
                use_sandbox(stack.enter_context(sandbox()))
            elif options.sandbox_at:
                use_sandbox(options.sandbox_at)
            return clean(options, screen) if options.clean else accept(options, screen)
    except (CannotDeploy, CannotRun, plan.TooExpensive) as error:
        screen.show(str(error), "red")
    except (BotoCoreError, ClientError) as error:
        screen.show(in_words(error), "red")
    except (KeyboardInterrupt, EOFError, Interrupted):
        screen.show("Interrupted", "red")
        return INTERRUPTED
    return FAILED


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m acceptance", description=__doc__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--sandbox", action="store_true", help="start a sandbox and run there")
    where.add_argument("--sandbox-at", type=loopback, metavar="URL", help="run in the sandbox at this endpoint")
    parser.add_argument("--profile", help="the profile of the AWS configuration")
    parser.add_argument("--region", help="the AWS Region")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    parser.add_argument("--clean", action="store_true", help="only delete what an interrupted run left")
    parser.add_argument("--existing", action="store_true", help="use the Region's common stack as it is")
    parser.add_argument(
        "--limit", type=float, default=plan.LIMIT, help="the maximum cost in USD (default: %(default).2f)"
    )
    parser.add_argument("--only", type=claim_ids, help="run only these checks (comma-separated)")
    parser.add_argument("--build", type=Path, default=Path("build"), help="the output of make package")
    parser.add_argument(
        "--upgrade-from", type=Path, metavar="BUILD", help="the output of make package of an earlier version"
    )
    parser.add_argument(
        "--report", type=Path, default=Path("acceptance-report"), help="path of the report, without .md or .json"
    )
    parser.add_argument("--show-account", action="store_true", help="do not mask the account ID in the report")
    return parser.parse_args()


def loopback(text: str) -> str:
    if not re.fullmatch(LOOPBACK, text):
        raise argparse.ArgumentTypeError(f"{text} is not an endpoint on this machine, such as http://127.0.0.1:4566")
    return text.rstrip("/")


def claim_ids(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in CLAIMS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is not a check. docs/unproven.md lists them")
    return names


def use_sandbox(endpoint: str) -> None:
    """Sets the AWS configuration of this process: the sandbox's endpoint and its root credentials."""
    os.environ.pop("AWS_PROFILE", None)
    os.environ.pop("AWS_SESSION_TOKEN", None)
    os.environ |= {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@contextlib.contextmanager
def sandbox() -> Iterator[str]:
    """Runs a sandbox in its own process, and yields its endpoint."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sandbox", "--no-deploy", "--port", str(port), "--alarm-minute", "1"]
    # a process group of its own: Ctrl+C must not end it before the cleanup
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline().startswith("ready "):
                raise CannotRun("The sandbox did not start. Run make setup and make package")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def accept(options: argparse.Namespace, screen: Screen) -> int:
    in_sandbox = options.sandbox or bool(options.sandbox_at)
    first_build = options.upgrade_from or options.build
    artifacts.version(options.build)
    artifacts.version(first_build)
    account = sign_in(options.profile, options.region)
    own_system = not options.existing
    with tempfile.TemporaryDirectory(prefix="acceptance-") as folder:
        world = World(
            account=account,
            build=first_build,
            next_build=options.build if options.upgrade_from else None,
            folder=Path(folder),
            sandbox=in_sandbox,
            own_system=own_system,
            profile=options.profile,
        )
        environment.require_free_region(world)
        items = plan.costs(own_system)
        if not in_sandbox:
            endpoint = os.environ.get("AWS_ENDPOINT_URL")
            plan.require_within(options.limit, items)
            screen.show(plan.description(account.id, account.region, account.who, endpoint, items, own_system))
            if not screen.confirm("Run the acceptance suite?"):
                screen.show("You declined. Nothing was created")
                return FAILED
        chosen = [claim for claim in in_order(CLAIMS) if options.only is None or claim.id in options.only]
        return run(options, world, chosen, screen)


def run(options: argparse.Namespace, world: World, claims: list[Claim], screen: Screen) -> int:
    """Creates the environment, runs the checks, deletes everything, and writes the report."""
    results: list[Result] = []
    notes: list[str] = []
    code = FAILED
    try:
        screen.show("Creating the stacks and tables")
        environment.create(world)
        if options.only is None:
            world.request_first_exports()
        runner.run(world, claims, results, screen.show)
        code = OK
    except (KeyboardInterrupt, Interrupted):
        notes.append("The run was interrupted")
        code = INTERRUPTED
    except (CannotDeploy, StackFailed, NotTrue, BotoCoreError, ClientError) as error:
        reason = in_words(error) if isinstance(error, (BotoCoreError, ClientError)) else str(error)
        notes.append(f"The environment could not be created: {reason}")
    for note in notes:
        screen.show(note, "red")
    results += runner.not_reached(claims, results, "The run ended before this check")
    left = delete(world.account, screen)
    if left:
        notes.append(f"Not deleted: {', '.join(left)}")
    found = runner.report(world, results, options.show_account, notes)
    for path in found.write(options.report):
        screen.show(f"Report: {path}")
    screen.show(found.summary, "red" if found.failed else "")
    return code or int(found.failed or bool(left))


def delete(account: Account, screen: Screen) -> list[str]:
    """Deletes everything that a run created, and returns what is left."""
    screen.show("Deleting everything that the run created")
    try:
        left = Cleanup(account, screen.show).run()
    except KeyboardInterrupt:
        screen.show(CLEAN, "red")
        raise
    if left:
        screen.show(f"Left: {', '.join(left)}. {CLEAN}", "red")
    else:
        screen.show("Nothing is left")
    return left


def clean(options: argparse.Namespace, screen: Screen) -> int:
    account = sign_in(options.profile, options.region)
    screen.show(f"Account {account.id}, Region {account.region}, as {account.who}")
    question = f"Delete everything of an earlier acceptance run ({plan.PREFIX}-*)?"
    if not screen.confirm(question):
        return FAILED
    begun = datetime.now(UTC)
    left = delete(account, screen)
    screen.show(f"Took {(datetime.now(UTC) - begun).total_seconds():.0f} s")
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(main())
