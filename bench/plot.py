"""Draws a result of bench.py as SVG, with colours that suit a light page as well as a dark one."""

import html
import json
import pathlib
import sys

WIDTH = 790
LEFT = 280
RIGHT = 90
ROW = 22

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .small { font-size: 11px; fill: #59636e } .end { text-anchor: end }
  .met { fill: #2f81a8 } .missed { fill: #d1702c } .free { fill: #8c959f }
  .range { stroke: #1f2328; stroke-width: 1.5 } .goal { stroke: #1f2328; stroke-width: 2; stroke-dasharray: 3 2 }
  .one { stroke: #8c959f; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 }
    .met { fill: #4ba3cc } .missed { fill: #e8914f } .free { fill: #6e7681 }
    .range, .goal { stroke: #e6edf3 } .one { stroke: #6e7681 }
  }
"""


class Drawing:
    """Rows of bars, from the top down."""

    def __init__(self):
        self.y = 0
        self.parts: list[str] = []

    def text(self, x: float, words: str, kind: str = "") -> None:
        self.parts.append(f'<text x="{x:.1f}" y="{self.y - 7}" class="{kind}">{html.escape(words)}</text>')

    def line(self, x: float, top: float, bottom: float, kind: str) -> None:
        self.parts.append(f'<path d="M{x:.1f} {top:.1f}V{bottom:.1f}" class="{kind}"/>')

    def panel(self, title: str, note: str, rows: list[dict], unit: str, one: float | None = None) -> None:
        """`rows`: label, value, goal (or None), met, and, where there is a spread, min and max. `one`: where a thin line
        marks what is compared with."""
        most = max(max(row["value"], row.get("max", 0), row["goal"] or 0) for row in rows)
        scale = (WIDTH - LEFT - RIGHT) / most
        self.y += 34
        self.text(0, title, "title")
        self.text(LEFT, note, "small")
        top = self.y
        for row in rows:
            self.y += ROW
            self.text(LEFT - 10, row["label"], "end")
            kind = "free" if row["goal"] is None else "met" if row["met"] else "missed"
            width = f"{row['value'] * scale:.1f}"
            self.parts.append(
                f'<rect x="{LEFT}" y="{self.y - ROW + 4}" width="{width}" height="{ROW - 8}" class="{kind}"/>'
            )
            if "min" in row:
                middle = self.y - ROW / 2
                begin, end = (f"{LEFT + row[key] * scale:.1f}" for key in ("min", "max"))
                self.parts.append(f'<path d="M{begin} {middle}H{end}" class="range"/>')
            if row["goal"] is not None:
                self.line(LEFT + row["goal"] * scale, self.y - ROW + 2, self.y - 2, "goal")
            self.text(WIDTH - RIGHT + 12, f"{row['value']:.{2 if most < 10 else 1}f}{unit}")
        if one is not None:
            self.line(LEFT + one * scale, top, self.y, "one")

    def svg(self, title: str) -> str:
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 0 {WIDTH + 20} {self.y + 10}" role="img">',
                f"<title>{html.escape(title)}</title>",
                f"<style>{STYLE}</style>",
                *self.parts,
                "</svg>",
                "",
            ]
        )


def draw(results: dict, file: pathlib.Path) -> None:
    drawing = Drawing()
    drawing.panel(
        "CPU time a request", "as a multiple of nginx's; line: the spread of pairs; dashes: the goal",
        [
            {
                "label": f"{one['title']}, {one['connections']} connection{'s' if one['connections'] > 1 else ''}",
                "value": one["cpu_ratio"]["median"], "min": one["cpu_ratio"]["min"], "max": one["cpu_ratio"]["max"],
                "goal": one["cpu_ratio_goal"], "met": one["met"],
            }
            for one in results["admissions"]["scenarios"]
        ],
        "", one=1,
    )
    drawing.panel(
        "p99 at half load", "as a multiple of nginx's at the same rate, 25 connections",
        [
            {
                "label": one["title"],
                "value": one["p99_ratio"]["median"], "min": one["p99_ratio"]["min"], "max": one["p99_ratio"]["max"],
                "goal": one["p99_ratio_goal"], "met": one["met"],
            }
            for one in results["admissions"]["tails"]
        ],
        "", one=1,
    )
    drawing.panel(
        "Resident memory", "of a webhook, program and libraries included; grey: no goal is set",
        [
            {"label": row["title"], "value": row["mib"], "goal": row["goal_mib"], "met": row["met"]}
            for row in results["resident"]
        ],
        " MiB",
    )
    file.write_text(drawing.svg(f"Leasehold {results['commit']} beside nginx"))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        draw(json.loads(pathlib.Path(name).read_text()), pathlib.Path(name).with_suffix(".svg"))
