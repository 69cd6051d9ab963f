"""HTML and SVG, built so that nothing gets in unescaped: text is text, and only elements are elements."""

from html import escape

# What HTML knows no character reference for: a control character in a name is shown as what it is, a stranger.
CONTROLS = {
    number: "\N{REPLACEMENT CHARACTER}" for number in [*range(32), *range(127, 160)] if number not in (9, 10, 13)
}

VOID = {"input"}  # elements that have no end


class Html(str):
    """Text that is markup already. Made by `el` and `join` alone."""

    __slots__ = ()


Child = str | int | None


def el(tag: str, /, *children: Child, **attributes: str | int | float | None) -> Html:
    """An element. `class_` is the attribute class, `stroke_width` stroke-width; None leaves one out."""
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
    """A name or reason of someone else's, in whatever direction it is written: it cannot turn what is around it."""
    return el("bdi", text)


def style(rules: str) -> Html:
    """`rules` are ours, with nothing of anyone else's."""
    return Html(f"<style>{rules}</style>")


def _clean(text: str) -> str:
    return text.translate(CONTROLS)
