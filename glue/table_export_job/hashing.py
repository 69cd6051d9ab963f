"""Keyed hashes of values: docs/columns.md, "Hashed attributes". Equal values have equal hashes, in all tables."""

import base64
import hmac
from decimal import Decimal

from table_export_job.attributes import EXACT, Item, Value
from table_export_job.errors import PermanentError

KEY_CHARACTERS = 32  # at least. A shorter key can be guessed
SETS = {"SS": "S", "NS": "N", "BS": "B"}


class Hasher:
    def __init__(self, key: str) -> None:
        """Raises PermanentError if the key is too short."""
        if len(key) < KEY_CHARACTERS:
            raise PermanentError(f"The secret of HashSecretArn has fewer than {KEY_CHARACTERS} characters.")
        self._key = key.encode()

    def hash_attribute(self, item: Item, name: str, path: str) -> None:
        """Replace the value of an item's attribute. Raises PermanentError for a map.

        The error names the path of the rule only: if it has a `*`, the name is a key of a map, which can be personal.
        """
        try:
            item[name] = self.hash(item[name])
        except TypeError:
            raise PermanentError(
                f"Columns: {path} cannot be hashed, as an item has a map there. Omit it, or hash attributes in the "
                f"map, such as {path}.x."
            ) from None

    def hash(self, value: Value) -> Value:
        """Raises TypeError for a map."""
        [(kind, content)] = value.items()
        if kind == "NULL":
            return value
        if kind == "L":
            return {"L": [self.hash(element) for element in content]}
        if kind in SETS:
            return {"SS": sorted({self._hex(SETS[kind], element) for element in content})}
        return {"S": self._hex(kind, content)}

    def _hex(self, kind: str, content: str | bool) -> str:
        return hmac.digest(self._key, hashed_bytes(kind, content), "sha256").hex()


def hashed_bytes(kind: str, content: str | bool) -> bytes:
    """Of a number, its digits without an exponent or needless zeros, whatever its notation."""
    match kind:
        case "S":
            return content.encode()
        case "N":
            number = Decimal(content).normalize(EXACT)
            return format(number, "f").encode() if number else b"0"
        case "B":
            return base64.b64decode(content)
        case "BOOL":
            return b"true" if content else b"false"
    raise TypeError(kind)
