"""Blocks of tables.yaml that `make deploy` stores for the job, each under the SHA-256 of its content."""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from table_export_job.errors import PermanentError

VERSION = 1

Problem = tuple[tuple[str, ...], str]  # where in the block, and what is wrong, with the remedy


def dump(name: str, block: dict[str, Any], *, sort_keys: bool) -> bytes:
    """The block as it is stored: the same block gives the same bytes."""
    content = {"version": VERSION, name: block}
    return json.dumps(content, sort_keys=sort_keys, ensure_ascii=False, separators=(",", ":")).encode()


def parsed(name: str, content: bytes, problems: Callable[[Any], Iterator[Problem]]) -> Any:
    """The opposite of `dump`. Raises ValueError for what no deployment of this version stores."""
    found = json.loads(content)
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise ValueError(f"it is not of version {VERSION}")
    for place, problem in problems(found.get(name)):
        raise ValueError(": ".join([".".join(place), problem]))
    return found[name]


def verified(content: bytes, uri: str, what: str, parse: Callable[[bytes], Any]) -> Any:
    """The block that was stored under this URI. Raises PermanentError if it was changed, or is not valid."""
    if hashlib.sha256(content).hexdigest() != uri.rpartition("/")[2].removesuffix(".json"):
        raise PermanentError(f"{uri} was changed: its SHA-256 is not its name. Delete it and deploy the table again.")
    try:
        return parse(content)
    except ValueError as error:
        raise PermanentError(f"{uri} is not a valid {what} ({error}). Deploy the table again.") from error
