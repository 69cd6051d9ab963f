"""Links and buttons. CloudWatch calls the widget's function with the parameters of the one that is clicked.

CloudWatch user guide, "Interactivity in the custom widget": a `cwdb-action` belongs to the element before it.
"""

import json
from typing import Any

from pipeline_widget.markup import Html, el, join


class Actions:
    def __init__(self, endpoint: str) -> None:
        """`endpoint` is the ARN of the widget's own function."""
        self._endpoint = endpoint

    def link(self, text: str | Html, **parameters: Any) -> Html:
        return join(el("a", text, class_="te-a"), self._call(parameters))

    def button(self, text: str, confirmation: str | None = None, **parameters: Any) -> Html:
        return join(el("a", text, class_="te-button btn"), self._call(parameters, confirmation))

    def _call(self, parameters: dict[str, Any], confirmation: str | None = None) -> Html:
        return el(
            "cwdb-action",
            json.dumps(parameters),
            action="call",
            display="widget",
            endpoint=self._endpoint,
            confirmation=confirmation,
        )


def outside(text: str, address: str) -> Html:
    return el("a", text, href=address, target="_blank", rel="noopener noreferrer")
