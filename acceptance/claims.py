"""The registry of claims: each has an id, and a check or the reason why there is none. docs/unproven.md lists them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acceptance.world import World

SUBJECTS = ("Deployment", "Reading tables", "Catalog and Athena", "Events", "Operations", "Security")


@dataclass(frozen=True)
class Evidence:
    """What a check saw."""

    text: str
    figures: dict[str, Any] = field(default_factory=dict)


class NotTrue(Exception):
    """A claim is not true. The message says what was seen instead."""


Look = Callable[["World"], Evidence]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim about the product on AWS."""

    id: str
    subject: str
    text: str
    how: str  # how the check looks, or how a person can
    look: Look | None = None  # raises if the claim is not true
    in_sandbox: str = ""  # what the sandbox has in place of AWS
    not_in_sandbox: str = ""  # why the sandbox cannot show it
    not_by_program: str = ""  # why no program can show it
    rehearsed: bool = False  # whether the check runs in the sandbox although that shows nothing of AWS
    disturbs: bool = False  # whether it disturbs all exports of the common stack while it runs
    stage: int = 0  # checks of a later stage run after those of an earlier one


CLAIMS: dict[str, Claim] = {}


def check(
    claim_id: str,
    subject: str,
    text: str,
    how: str,
    *,
    in_sandbox: str = "",
    not_in_sandbox: str = "",
    rehearsed: bool = False,
    disturbs: bool = False,
    stage: int = 0,
) -> Callable[[Look], Look]:
    """Registers a function as the check of a claim. Give either `in_sandbox` or `not_in_sandbox`."""
    if bool(in_sandbox) == bool(not_in_sandbox):
        raise ValueError(f"{claim_id}: give either in_sandbox or not_in_sandbox")

    def register(look: Look) -> Look:
        add(
            Claim(
                id=claim_id,
                subject=subject,
                text=text,
                how=how,
                look=look,
                in_sandbox=in_sandbox,
                not_in_sandbox=not_in_sandbox,
                rehearsed=rehearsed or bool(in_sandbox),
                disturbs=disturbs,
                stage=stage,
            )
        )
        return look

    return register


def by_hand(claim_id: str, subject: str, text: str, how: str, reason: str) -> None:
    """Registers a claim that only a person can check."""
    add(Claim(id=claim_id, subject=subject, text=text, how=how, not_by_program=reason))


def add(claim: Claim) -> None:
    if claim.id in CLAIMS:
        raise ValueError(f"{claim.id}: two claims have this id")
    if claim.subject not in SUBJECTS:
        raise ValueError(f"{claim.id}: {claim.subject} is not one of {', '.join(SUBJECTS)}")
    CLAIMS[claim.id] = claim


def in_order(claims: dict[str, Claim]) -> list[Claim]:
    """Returns the claims in the order in which they are checked."""
    return sorted(claims.values(), key=lambda claim: claim.stage)


def expect(condition: object, otherwise: str) -> None:
    """Raises NotTrue unless the condition holds. `otherwise` says what was seen instead."""
    if not condition:
        raise NotTrue(otherwise)
