"""Results that a history reuses: the services parse the same record again and again.

Parsing is pure, and nobody changes a record's image in place. So each image is parsed once in a history, by the
product's own code. `test_shortcuts.py` compares with histories that parse anew each time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from on_export_changed import handler as on_export_changed
from table_exports.aws import records

PARSERS = {records: ("plain", "export_of", "pipeline_of"), on_export_changed: ("plain", "export_of")}


class Reused:
    """A function that is called once for each argument. Only the same object is the same argument."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self._known: dict[int, tuple[Any, Any]] = {}  # with the argument, so that no other object gets its id

    def __call__(self, argument: Any) -> Any:
        known = self._known.get(id(argument))
        if known is None:
            known = self._known[id(argument)] = argument, self._function(argument)
        return known[1]


@contextmanager
def parsed_records() -> Iterator[None]:
    """Each record is parsed once in here. An error is not kept: an invalid record is parsed again."""
    originals = {(module, name): getattr(module, name) for module, names in PARSERS.items() for name in names}
    reused = {function: Reused(function) for function in originals.values()}  # one for all modules that import it
    for (module, name), function in originals.items():
        setattr(module, name, reused[function])
    try:
        yield
    finally:
        for (module, name), function in originals.items():
            setattr(module, name, function)
