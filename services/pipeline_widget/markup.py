"""Builds HTML and SVG in which all text is escaped."""

from html import escape

# HTML has no character references for control characters.
CONTROLS = {
    number: "\N{REPLACEMENT CHARACTER}" for number in [*range(32), *range(127, 160)] if number not in (9, 10, 13)
}

VOID = {"input"}  # elements without an end tag


class Html(str):
    """Text that is markup already. Only `el` and `join` create it."""

    __slots__ = ()


Child = str | int | None


def el(tag: str, /, *children: Child, **attributes: str | int | float | None) -> Html:
    """Return an element. `class_` becomes the attribute class, `stroke_width` stroke-width. None omits an attribute."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_clean(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{tag}{given}>" if tag in VOID else f"<{tag}{given}>{join(*children)}</{tag}>")


def join(*children: Child) -> Html:
    return Html(
        "".join(
            child if isinstance(child, Html) else escape(_clean(str(child))) for child in children if child is not None
        )
    )


def foreign(text: str) -> Html:
    """Return text of unknown origin, isolated so that its writing direction cannot affect the text around it."""
    return el("bdi", text)


def style(rules: str) -> Html:
    """Return a style element. `rules` must not contain text of unknown origin."""
    return Html(f"<style>{rules}</style>")


def _clean(text: str) -> str:
    return text.translate(CONTROLS)
