import json
from pathlib import Path

import pytest

SCHEMAS = Path(__file__).parents[2] / "table_exports" / "schemas"


@pytest.fixture
def schemas():
    return list(SCHEMAS.glob("*.json"))


@pytest.fixture
def schema():
    return lambda detail_type: json.loads((SCHEMAS / f"{detail_type.lower().replace(' ', '_')}.json").read_text())
