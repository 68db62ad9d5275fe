"""The chart: how our figures stand to rathole's, on a logarithmic scale, as an SVG without fonts or scripts."""

import math
from xml.sax.saxutils import escape

from report import count, groups, short

WIDTH, LEFT, RIGHT = 860, 230, 740  # the bars are between LEFT and RIGHT, figures' names and ratios beside them
ROW, TOP, BOTTOM = 24, 76, 44

STYLE = """
text { font: 13px sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: bold; }
.small { font-size: 11px; }
.paper { fill: #ffffff; }
.grid { stroke: #d1d9e0; }
.axis, .range { stroke: #1f2328; }
.floor { stroke: #1f2328; stroke-width: 3; }
.good { fill: #4aa785; }
.bad { fill: #e0823d; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .paper { fill: #0d1117; }
  .grid { stroke: #30363d; }
  .axis, .range, .floor { stroke: #e6edf3; }
  .good { fill: #2f8f6b; }
  .bad { fill: #c4682a; }
}
"""


class Scale:
    """Where ratios are, from a power of two to another, so that all of them and 1 fit."""

    def __init__(self, values):
        self.low = math.floor(math.log2(min(values)))
        self.high = math.ceil(math.log2(max(values)))

    def x(self, ratio):
        return LEFT + (RIGHT - LEFT) * (math.log2(ratio) - self.low) / (self.high - self.low)

    def marks(self):
        step = math.ceil((self.high - self.low) / 10)
        return [2.0**power for power in range(self.low, self.high + 1) if power % step == 0]


def chart(run):
    """The SVG; one that says so if there is nothing to compare."""
    shown = [(title, found) for title, found in groups(run) if found]
    scale = Scale([0.5, 2, *(value for _, found in shown for one in found for value in reach(one))])
    end = TOP + ROW * sum(len(found) + 1 for _, found in shown)
    parts = [*head(run, bool(shown)), *grid(scale, end)]
    y = TOP
    for title, found in shown:
        parts.append(text(16, y + 16, title, "small"))
        y += ROW
        for one in found:
            parts += bar(scale, one, y)
            y += ROW
    return document(end + BOTTOM, parts)


def document(height, parts):
    size = f'width="{WIDTH}" height="{height}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {height}">'
    paper = f'<rect class="paper" {size} rx="6"/>'
    return "\n".join([opening, f"<style>{STYLE}</style>", paper, *parts, "</svg>", ""])


def head(run, comparable):
    programs = [f"{name} {version}" for name, version in run["programs"].items() if name.startswith(("pin", "rat"))]
    transport = "with Noise" if run["transport"] == "noise" else "plain"
    title = f"pinhole : rathole, {transport}" if comparable else "nothing to compare"
    about = f"{', '.join(programs)}; {run['date']}; median and range of {count(run['rounds'], 'round')}"
    about += "; thick line: floor; orange: floor missed, or worse than rathole"
    return [text(16, 28, title, "title"), text(16, 48, about, "small")]


def grid(scale, end):
    parts = []
    for mark in scale.marks():
        x = scale.x(mark)
        parts.append(rule(x, TOP - 4, x, end, "axis" if mark == 1 else "grid"))
        parts.append(text(x, end + 18, f"{mark:g}" if mark >= 1 else f"1/{1 / mark:g}", "small", "middle"))
    return parts


def bar(scale, one, y):
    """A bar from 1 to the median, with the range as a line and the floor as a thick one."""
    begin, end = sorted((scale.x(1), scale.x(one.median)))
    middle = y + ROW / 2
    least, most = scale.x(min(one.values)), scale.x(max(one.values))
    colour = "good" if one.reaches(1 if one.floor is None else one.floor) else "bad"
    parts = [
        text(LEFT - 10, middle + 4, one.figure.key, anchor="end"),
        f'<rect class="{colour}" x="{begin:.1f}" y="{y + 5}" width="{max(end - begin, 1):.1f}" height="{ROW - 10}"/>',
        rule(least, middle, most, middle, "range"),
        text(RIGHT + 12, middle + 4, short(one.median)),
    ]
    if one.floor:
        x = scale.x(one.floor)
        parts.append(rule(x, y + 2, x, y + ROW - 2, "floor"))
    return parts


def reach(one):
    """All that its row shows."""
    return [*one.values, one.floor or 1]


def text(x, y, words, style="", anchor="start"):
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def rule(x1, y1, x2, y2, style):
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
