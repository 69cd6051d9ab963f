"""The report: what was shown of each claim, as Markdown and as JSON. A user can attach it to an issue."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

MASK = "ACCOUNT"


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_SHOWN = "not shown"
    NOT_CHECKABLE = "not checkable"


@dataclass(frozen=True, kw_only=True)
class Result:
    id: str
    subject: str
    claim: str
    outcome: Outcome
    evidence: str  # or the reason why there is none
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0  # that the check took


@dataclass(frozen=True, kw_only=True)
class Report:
    environment: dict[str, str]  # where and with which versions
    results: Sequence[Result]
    durations: Sequence[dict[str, Any]] = ()  # of each export: pipeline, outcome, seconds by stage
    notes: Sequence[str] = ()  # about the run as a whole
    masked: Sequence[str] = ()  # texts that the report must not contain

    @property
    def failed(self) -> bool:
        return any(result.outcome == Outcome.FAILED for result in self.results)

    @property
    def summary(self) -> str:
        counted = Counter(result.outcome for result in self.results)
        return ", ".join(f"{counted[outcome]} {outcome}" for outcome in Outcome)

    def as_json(self) -> str:
        content = {
            "environment": self.environment,
            "summary": self.summary,
            "notes": list(self.notes),
            "results": [asdict(result) for result in self.results],
            "durations": list(self.durations),
        }
        return self._mask(json.dumps(content, indent=2, ensure_ascii=False, default=str)) + "\n"

    def as_markdown(self) -> str:
        lines = ["# Acceptance report", "", f"**{self.summary}**", ""]
        lines += [f"> {note}\n" for note in self.notes]
        lines += table(["", ""], list(self.environment.items()))
        for outcome in (Outcome.FAILED, Outcome.PASSED, Outcome.NOT_SHOWN, Outcome.NOT_CHECKABLE):
            of_outcome = [result for result in self.results if result.outcome == outcome]
            if not of_outcome:
                continue
            evidence = "Evidence" if outcome in (Outcome.FAILED, Outcome.PASSED) else "Reason"
            lines += ["", f"## {outcome.capitalize()}", ""]
            lines += table(
                ["Check", "Claim", evidence, "Figures", "Seconds"],
                [
                    (f"`{each.id}`", each.claim, each.evidence, in_words(each.figures), f"{each.seconds:.0f}")
                    for each in of_outcome
                ],
            )
        if self.durations:
            names = list(dict.fromkeys(name for row in self.durations for name in row))
            lines += ["", "## Durations of the exports, in seconds", ""]
            lines += table(names, [tuple(row.get(name, "") for name in names) for row in self.durations])
        return self._mask("\n".join(lines)) + "\n"

    def write(self, name: Path) -> list[Path]:
        """Writes NAME.md and NAME.json, and returns their paths."""
        files = {name.with_suffix(".md"): self.as_markdown(), name.with_suffix(".json"): self.as_json()}
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
        return list(files)

    def _mask(self, text: str) -> str:
        for secret in self.masked:
            text = text.replace(secret, MASK)
        return text


def in_words(figures: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in figures.items())


def table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Returns the lines of a Markdown table."""
    return [
        f"| {' | '.join(names)} |",
        f"|{'---|' * len(names)}",
        *(f"| {' | '.join(cell(value) for value in row)} |" for row in rows),
    ]


def cell(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("\n", "<br>")
