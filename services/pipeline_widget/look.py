"""Colors and CSS rules for light and dark dashboards. A color never carries meaning alone: a word or shape does too."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    text: str
    faint: str
    line: str
    soft: str  # the background of cards
    accent: str
    good: str
    bad: str
    warn: str
    on_color: str  # text on one of the four colors above


LIGHT = Look(
    text="#16191f", faint="#5f6b7a", line="#d5dbdb", soft="#f4f6f8", accent="#0972d3", good="#1d8102", bad="#c7231a",
    warn="#a05a00", on_color="#ffffff",
)  # fmt: skip
DARK = Look(
    text="#e9ebed", faint="#9ba7b6", line="#414d5c", soft="#1f2b37", accent="#539fe5", good="#4fb54a", bad="#ff7a6b",
    warn="#f0b355", on_color="#0f1b2a",
)  # fmt: skip


def look_of(theme: object) -> Look:
    return DARK if theme == "dark" else LIGHT


def rules(look: Look) -> str:
    """Return CSS rules for classes that begin with `te-`, so that they affect nothing else in a dashboard."""
    return f"""
.te {{ color: {look.text}; font: 13px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  padding: 4px 8px 12px }}
.te * {{ box-sizing: border-box }}
.te table {{ width: 100%; border-collapse: collapse; font-size: 13px }}
.te th {{ color: {look.faint}; font-weight: 500; text-align: left; padding: 4px 14px 6px 0; white-space: nowrap;
  border-bottom: 1px solid {look.line} }}
.te td {{ padding: 8px 14px 8px 0; border-bottom: 1px solid {look.line}; vertical-align: middle }}
.te tr:last-child td {{ border-bottom: 0 }}
.te svg {{ display: block }}
.te cwdb-action {{ display: none }}
.te-top {{ display: flex; flex-wrap: wrap; gap: 4px 22px; align-items: baseline; padding: 4px 0 12px }}
.te-big {{ font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums }}
.te-faint {{ color: {look.faint} }}
.te-num {{ font-variant-numeric: tabular-nums; white-space: nowrap }}
.te-good {{ color: {look.good} }}
.te-bad {{ color: {look.bad} }}
.te-warn {{ color: {look.warn} }}
.te-a, .te a {{ color: {look.accent}; text-decoration: none; cursor: pointer; font-weight: 600 }}
.te a:hover, .te-a:hover {{ text-decoration: underline }}
.te-name {{ max-width: 260px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }}
.te-why {{ max-width: 420px; overflow: hidden; color: {look.faint}; overflow-wrap: anywhere;
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2 }}
.te-reason {{ max-width: 900px; overflow-wrap: anywhere; white-space: pre-wrap }}
.te-flag {{ display: inline-block; border: 1px solid currentColor; border-radius: 9px; padding: 0 7px;
  margin: 0 6px 0 0;
  font-size: 11px; line-height: 16px; font-weight: 600 }}
.te-card {{ background: {look.soft}; border-radius: 8px; padding: 10px 14px; margin: 0 0 14px;
  overflow-wrap: anywhere }}
.te-button {{ display: inline-block; border: 1px solid {look.accent}; border-radius: 14px; color: {look.accent};
  padding: 3px 14px; margin: 0 10px 0 0; font-weight: 600; cursor: pointer; background: transparent; font-size: 13px }}
.te-row {{ display: flex; flex-wrap: wrap; gap: 8px; align-items: center; padding: 10px 0 }}
.te-field {{ border: 1px solid {look.line}; border-radius: 6px; padding: 3px 8px; width: 220px; color: {look.text};
  background: transparent; font-size: 13px }}
.te-pairs {{ display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; margin-top: 14px }}
.te-pairs > dd {{ margin: 0; overflow-wrap: anywhere }}
.te-pairs > dt {{ color: {look.faint} }}
"""
