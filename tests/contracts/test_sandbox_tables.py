"""The tests of tests/sandbox share a sandbox if the same process runs them."""

import re
from collections import defaultdict

from sandbox_user import ROOT


def test_files_of_tests_make_different_tables():
    made_by = defaultdict(set)
    for file in (ROOT / "tests" / "sandbox").glob("*.py"):
        for table in re.findall(r"make_table\(\s*\"([^\"]+)\"", file.read_text()):
            made_by[table].add(file.name)

    assert len(made_by) > 20
    assert {table: files for table, files in made_by.items() if len(files) > 1} == {}
