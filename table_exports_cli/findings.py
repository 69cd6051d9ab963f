"""What a check found, and the remedies that several checks share."""

from dataclasses import dataclass

DEPLOY = "make deploy"
RESTORE = "make deploy REPAIR=1"  # what someone changed or deleted outside CloudFormation: docs/deploy.md
TAKE_OVER = (
    "with the table in tables.yaml, make deploy: the new stack takes over name, data and state. "
    "If nobody needs the pipeline, delete that stack then: docs/runbook.md, Remove a table"
)


@dataclass(frozen=True, slots=True)
class Problem:
    subject: str  # a pipeline, a rule, an alarm, …
    description: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check."""

    check: str
    ok: str = ""  # what holds if there are no problems
    problems: tuple[Problem, ...] = ()
    unknown: str | None = None  # why the check could not be made

    @property
    def state(self) -> str:
        return "unknown" if self.unknown else "problem" if self.problems else "ok"
