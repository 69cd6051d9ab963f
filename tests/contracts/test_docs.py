"""What the documentation names exists: pages, sections, make targets, files."""

import importlib.util
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
SHIPPED = [
    path
    for folder in ("glue", "infra", "sandbox", "services", "table_exports", "table_exports_cli")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".yaml")
]
LOGGED_BY_POWERTOOLS_OR_LAMBDA = {
    "service",
    "level",
    "message",
    "function_request_id",
    "exception_name",
    "errorMessage",
}


def prose(page):
    """The text of a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def headings(page):
    return re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)


def anchors(page):
    """The anchors that code hosts make of a page's headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


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


def test_each_message_and_comment_of_the_code_names_a_page_and_section_that_exist():
    """`docs/runbook.md, "failing"`."""
    named = {
        reference
        for file in SHIPPED
        for reference in re.findall(r'docs/([\w-]+\.md)(?:,\s+"([^"]+)")?', file.read_text())
    }

    assert len(named) > 10
    for page, section in named:
        assert (ROOT / "docs" / page).is_file()
        assert not section or section in headings(ROOT / "docs" / page)


def test_each_field_that_a_documented_or_saved_query_displays_is_logged():
    queries = [page.read_text() for page in PAGES] + [(ROOT / "infra/common.yaml").read_text()]
    lists = [found for text in queries for found in re.findall(r"\| display ([@\w, ]+)", text)]
    displayed = {field.strip() for fields in lists for field in fields.split(",")}
    logging = [path for folder in ("services", "table_exports/functions") for path in (ROOT / folder).rglob("*.py")]
    code = "".join(path.read_text() for path in logging)

    assert len(lists) > 3
    unknown = {field for field in displayed - LOGGED_BY_POWERTOOLS_OR_LAMBDA if not field.startswith("@")}
    assert {field for field in unknown if not re.search(rf'"{field}"|\b{field}=', code)} == set()


def test_the_pictures_can_be_made():
    """Their script needs a browser, so only the pages that it takes pictures of are made here."""
    spec = importlib.util.spec_from_file_location("screenshots", ROOT / "docs/images/screenshots.py")
    screenshots = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(screenshots)

    pages = {name: html for name, (html, _) in screenshots.pictures(screenshots.LIGHT).items()}

    assert "orders-parquet" in pages["busy"]
    assert all(screenshots.OUT_OF_MEMORY in pages[name] for name in ("failures", "timeline"))
