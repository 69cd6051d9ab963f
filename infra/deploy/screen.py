"""What a person sees and is asked."""

from collections.abc import Callable

from rich.console import Console
from rich.markup import escape
from rich.prompt import Confirm, Prompt
from rich.table import Table

from infra.deploy import CannotDeploy
from infra.deploy.stacks import Change, Event, Outcome, Plan

COLOURS = {"Add": "green", "Import": "green", "Modify": "yellow", "Remove": "red"}
REPLACED = {"True": "yes", "Conditional": "perhaps"}


class Screen:
    def __init__(self, console: Console, yes: bool = False) -> None:
        self._console = console
        self._yes = yes

    def say(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def agree(self, question: str) -> bool:
        if self._yes:
            return True
        self._need_someone(question, "--yes agrees to everything")
        return Confirm.ask(escape(question), console=self._console, default=False)

    def ask(self, question: str, default: str, problem: Callable[[str], str | None]) -> str:
        """An answer that has no problem."""
        self._need_someone(question, "Run it once in a terminal, or write table-exports.toml: docs/deploy.md has one")
        while True:
            answer = Prompt.ask(escape(question), console=self._console, default=default).strip()
            if wrong := problem(answer):
                self.say(wrong, "red")
            else:
                return answer

    def changes(self, plans: list[Plan]) -> None:
        """Stacks that change alike are shown as one."""
        alike: dict[tuple, list[str]] = {}
        for plan in plans:
            kind = "No changes" if plan.change_set is None else "New" if plan.creates else "Changes"
            alike.setdefault((kind, plan.changes), []).append(plan.stack.name)
        for (kind, changes), stacks in alike.items():
            self.say(f"{kind}: {', '.join(stacks)}")
            if changes:
                self._table_of(changes)

    def _table_of(self, changes: tuple[Change, ...]) -> None:
        table = Table()
        for column in ("action", "resource", "type", "replaced"):
            table.add_column(column, overflow="fold")
        for change in changes:
            style = "red" if change.endangers else COLOURS.get(change.action, "")
            table.add_row(change.action, change.name, change.type, REPLACED.get(change.replacement, ""), style=style)
        self._console.print(table)
        for change in changes:
            if change.endangers:
                self.say(f"Warning: {change.name} {change.fate}. It holds {change.endangers}", "bold red")

    def event(self, event: Event) -> None:
        """Of what has ended."""
        if not event.status.endswith("_IN_PROGRESS"):
            reason = f"  {event.reason}" if event.is_a_cause else ""
            self.say(f"  {event.status:<18}{event.resource}{reason}", "red" if event.status.endswith("FAILED") else "")

    def summary(self, outcomes: list[Outcome]) -> None:
        table = Table()
        for column in ("stack", "result", "reason"):
            table.add_column(column, overflow="fold")
        for outcome in outcomes:
            style = "red" if outcome.failed else ""
            table.add_row(outcome.stack, outcome.became, escape(outcome.reason), style=style)
        self._console.print(table)

    def _need_someone(self, question: str, remedy: str) -> None:
        if not self._console.is_terminal:
            raise CannotDeploy(f"There is nobody to ask: {question}\n{remedy}")
