"""What the user sees and is asked."""

from collections.abc import Callable

from rich.console import Console
from rich.markup import escape
from rich.prompt import Confirm, Prompt
from rich.table import Table

from infra.deploy import CannotDeploy
from infra.deploy.stacks import Change, Event, Outcome, Plan

COLOURS = {"Add": "green", "Import": "green", "Modify": "yellow", "Remove": "red"}
REPLACED = {"True": "yes", "Conditional": "maybe"}


class Screen:
    def __init__(self, console: Console, yes: bool = False) -> None:
        self._console = console
        self._yes = yes

    def show(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def confirm(self, question: str) -> bool:
        if self._yes:
            return True
        self._require_terminal(question, "Use --yes to confirm everything")
        return Confirm.ask(escape(question), console=self._console, default=False)

    def ask(self, question: str, default: str, problem: Callable[[str], str | None]) -> str:
        """Asks until the answer is valid, and returns it."""
        self._require_terminal(
            question, "Run the command once in a terminal, or write table-exports.toml as in docs/deploy.md"
        )
        while True:
            answer = Prompt.ask(escape(question), console=self._console, default=default).strip()
            if wrong := problem(answer):
                self.show(wrong, "red")
            else:
                return answer

    def changes(self, plans: list[Plan]) -> None:
        """Shows the changes. Stacks with the same changes are shown together."""
        alike: dict[tuple, list[str]] = {}
        for plan in plans:
            kind = "No changes" if plan.change_set is None else "New" if plan.creates else "Changes"
            alike.setdefault((kind, plan.changes), []).append(plan.stack.name)
        for (kind, changes), stacks in alike.items():
            self.show(f"{kind}: {', '.join(stacks)}")
            if changes:
                self._table_of(changes)

    def _table_of(self, changes: tuple[Change, ...]) -> None:
        table = Table()
        for column in ("action", "resource", "type", "replaced"):
            table.add_column(column, overflow="fold")
        for change in changes:
            style = "red" if change.data_at_risk else COLOURS.get(change.action, "")
            table.add_row(change.action, change.name, change.type, REPLACED.get(change.replacement, ""), style=style)
        self._console.print(table)
        for change in changes:
            if change.data_at_risk:
                self.show(f"Warning: {change.name} {change.loss}. It holds {change.data_at_risk}", "bold red")

    def event(self, event: Event) -> None:
        """Shows an event of a resource that is finished."""
        if not event.status.endswith("_IN_PROGRESS"):
            reason = f"  {event.reason}" if event.is_a_cause else ""
            self.show(f"  {event.status:<18}{event.resource}{reason}", "red" if event.status.endswith("FAILED") else "")

    def summary(self, outcomes: list[Outcome]) -> None:
        table = Table()
        for column in ("stack", "result", "reason"):
            table.add_column(column, overflow="fold")
        for outcome in outcomes:
            style = "red" if outcome.failed else ""
            table.add_row(outcome.stack, outcome.result, escape(outcome.reason), style=style)
        self._console.print(table)

    def _require_terminal(self, question: str, remedy: str) -> None:
        if not self._console.is_terminal:
            raise CannotDeploy(f"Cannot ask without a terminal: {question}\n{remedy}")
