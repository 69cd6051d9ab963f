"""What the documentation names exists: pages, sections, make targets, files."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")]
    if not page.relative_to(ROOT).parts[0].startswith(".")
)
TOP_LEVEL = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build"}


def prose(page):
    """The text of a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """The anchors that code hosts make of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page):
    """The targets of a page's links, without those to other sites."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [target for target in targets if not target.startswith("https://")]


def code_spans(page):
    return re.findall(r"`([^`\n]+)`", prose(page))


def name(page):
    return str(page.relative_to(ROOT))


def test_the_readme_and_all_of_docs_are_checked():
    assert {"README.md", "docs/run.md", "docs/decisions/0001-choreography.md", "tests/README.md"} <= {*map(name, PAGES)}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_link_leads_to_a_file_and_section(page):
    broken = []
    for link in links(page):
        path, _, section = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (section and section not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_the_readme_leads_to_each_page_of_docs():
    found, following = set(), [ROOT / "README.md"]
    while following:
        page = following.pop()
        found.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        within = {inner for target in targets if target.is_dir() for inner in target.glob("*.md")}
        following += [target for target in targets | within if target.suffix == ".md" and target not in found]

    assert [name(page) for page in PAGES if page.is_relative_to(ROOT / "docs") and page not in found] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_make_target_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)) - targets == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name)
def test_each_file_and_folder_of_the_repository_exists(page):
    """A path in code style that begins with a folder of ours. `<name>` stands for anything."""
    named = [span for span in code_spans(page) if re.fullmatch(r"[\w.<>*/-]+", span)]
    paths = [span for span in named if "/" in span and span.partition("/")[0] in TOP_LEVEL]

    assert [path for path in paths if not any(ROOT.glob(re.sub(r"<\w+>", "*", path.rstrip("/"))))] == []
