"""What the user sees and is asked."""

from collections.abc import Callable, Collection

from rich.console import Console
from rich.markup import escape
from rich.prompt import Confirm, Prompt
from rich.table import Table

from infra.deploy import CannotDeploy
from infra.deploy.changes import Change
from infra.deploy.stacks import Event, Outcome, Plan
from table_exports.domain.foreign import in_lines

COLOURS = {"Add": "green", "Import": "green", "Modify": "yellow", "Remove": "red"}
REPLACED = {"True": "yes", "Conditional": "maybe"}


def shown(text: str) -> str:
    """Returns text of unknown origin as markup, without control characters: nothing in it acts on the terminal."""
    return escape(in_lines(text))


class Screen:
    def __init__(self, console: Console, yes: bool = False, delete_data_of: Collection[str] = ()) -> None:
        self._console = console
        self._yes = yes
        self._delete_data_of = delete_data_of  # names of stacks

    def show(self, text: str, style: str = "") -> None:
        self._console.print(in_lines(text), style=style, markup=False, highlight=False, soft_wrap=True)

    def confirm(self, question: str) -> bool:
        if self._yes:
            return True
        self._require_terminal(question, "Use --yes to confirm everything")
        return Confirm.ask(shown(question), console=self._console, default=False)

    def confirm_data_loss(self, stack: str, lost: list[str]) -> bool:
        """Returns whether the user agreed that the resources are deleted. --yes is not enough for that."""
        if stack in self._delete_data_of:
            return True
        question = f"Stack {stack} would lose the data of {', '.join(lost)}"
        remedy = f"To delete it, add --delete-data-of {stack} (make deploy DELETE_DATA_OF={stack})"
        if self._yes:
            raise CannotDeploy(f"{question}. --yes does not confirm that. {remedy}")
        self._require_terminal(question, remedy)
        self.show(question, "bold red")
        typed = Prompt.ask("To delete it, type the name of the stack", console=self._console, default="")
        return typed.strip() == stack

    def ask(self, question: str, default: str, problem: Callable[[str], str | None]) -> str:
        """Asks until the answer is valid, and returns it."""
        self._require_terminal(
            question, "Run the command once in a terminal, or write table-exports.toml as in docs/deploy.md"
        )
        while True:
            answer = Prompt.ask(shown(question), console=self._console, default=default).strip()
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
            style = "red" if change.at_risk else COLOURS.get(change.action, "")
            replaced = REPLACED.get(change.replacement, "")
            table.add_row(change.action, shown(change.name), shown(change.type), replaced, style=style)
        self._console.print(table)
        for change in changes:
            if change.at_risk:
                self.show(f"Warning: {change.resource} {change.loss}. It holds {change.at_risk}", "bold red")
            elif change.loss:
                self.show(f"{change.resource} {change.loss}", "red")

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
            table.add_row(outcome.stack, outcome.result, shown(outcome.reason), style=style)
        self._console.print(table)

    def _require_terminal(self, question: str, remedy: str) -> None:
        if not self._console.is_terminal:
            raise CannotDeploy(f"Cannot ask without a terminal: {question}\n{remedy}")
