"""What the samples say: ratios of rounds, floors kept or not, and the table of it all in Markdown."""

import statistics
from dataclasses import dataclass
from typing import Optional

from figures import FIGURES, LESS, MORE, NOT_MORE, PLAIN, Figure
from tunnels import kind_of


@dataclass
class Comparison:
    """Ours against another column, round by round: ratios, or differences where there is nothing to divide by.

    Without a base it is ours alone.
    """

    figure: Figure
    base: Optional[str]
    values: list
    floor: Optional[float] = None

    @property
    def median(self):
        return statistics.median(self.values)

    def met(self):
        """Whether the floor is kept; none if there is no floor."""
        return None if self.floor is None else self.reaches(self.floor)

    def reaches(self, floor):
        return self.median >= floor if self.figure.better == MORE else self.median <= floor


def comparisons(run):
    """One for each figure that both have, one more for each other floor that it must keep."""
    ours, peer, direct = (column(run, kind) for kind in ("pinhole", "rathole", "direct"))
    found = []
    for figure in FIGURES:
        floor = figure.noise if run["transport"] == "noise" else figure.plain
        found.append(compare(run, figure, ours, peer, floor))
        if figure.own:
            found.append(compare(run, figure, ours, PLAIN, figure.own))
        if figure.direct:
            found.append(compare(run, figure, ours, direct, figure.direct))
        if figure.target:
            found.append(Comparison(figure, None, values_of(run, figure, ours), figure.target))
    return [comparison for comparison in found if comparison.values]


def column(run, kind):
    """The first column of a kind."""
    return next((name for name in run["programs"] if kind_of(name) == kind), None)


def compare(run, figure, ours, base, floor):
    row = run["samples"].get(figure.key, {})
    pairs = [pair for pair in zip(row.get(ours, []), row.get(base, [])) if None not in pair]
    allowance = figure.allowance if kind_of(base or "") == "direct" else 0
    if figure.better == NOT_MORE:
        values = [own - other for own, other in pairs]
    else:
        values = [(own - allowance) / other for own, other in pairs if other > 0]
    return Comparison(figure, base, values, floor)


def values_of(run, figure, name):
    return [value for value in run["samples"].get(figure.key, {}).get(name, []) if value is not None]


def table(run):
    """The whole report in Markdown."""
    names = list(run["programs"])
    rows = [["figure", *names, "pinhole : rathole", "floor", "met"]]
    for figure in FIGURES:
        rows += figure_rows(run, figure, names)
    kept = [one.met() for one in comparisons(run) if one.floor is not None]
    lines = [line(rows[0]), line(["---"] + ["--:"] * (len(rows[0]) - 1)), *map(line, rows[1:])]
    end = f"{sum(kept)} of {len(kept)} floors are kept." if kept else "No rathole, no floors."
    return "\n".join([*heading(run), "", *lines, "", end, ""])


def heading(run):
    programs = ", ".join(f"{name} {version}" for name, version in run["programs"].items())
    transport = "with Noise" if run["transport"] == "noise" else "plain"
    return [
        f"{run['date']}, {run['machine']}; {programs}.",
        f"Over {run.get('over', 'loopback')}, {transport}: median (least – most) of "
        f"{count(run['rounds'], 'round')} of {run['seconds']} s; ratios are those within a round.",
        f"`{run['command']}`",
    ]


def count(number, what):
    return f"{number} {what}{'s' if number != 1 else ''}"


def line(cells):
    return f"| {' | '.join(cells)} |"


def figure_rows(run, figure, names):
    """The figure's row with the ratio to rathole, and one for each other comparison; nothing if it was not measured."""
    if not run["samples"].get(figure.key):
        return []
    cells = [spread(values_of(run, figure, name)) for name in names]
    rows = [[f"{figure.key} {figure.unit}".rstrip(), *cells, "", "", ""]]
    for comparison in (one for one in comparisons(run) if one.figure is figure):
        if comparison.base is None:
            rows[0][-2:] = verdict(comparison)[1:]
        elif kind_of(comparison.base) == "rathole":
            rows[0][-3:] = verdict(comparison)
        else:
            rows.append([f"{figure.key}, {relation(comparison)}", *[""] * len(names), *verdict(comparison)])
    return rows


def relation(comparison):
    if comparison.base == PLAIN:
        return "of our own plain"
    return f"less {comparison.figure.allowance} {comparison.figure.unit}, of direct"


def spread(values):
    """Median and range."""
    if len(values) < 2:
        return short(values[0]) if values else "–"
    return f"{short(statistics.median(values))} ({short(min(values))} – {short(max(values))})"


def short(value):
    """Three digits, more where they stand before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def verdict(comparison):
    if comparison.floor is None:
        return spread(comparison.values), "", ""
    better = comparison.figure.better
    floor = better if better == NOT_MORE else f"{better} {comparison.floor:g}"
    return spread(comparison.values), floor, "yes" if comparison.met() else "**no**"


def charted(run, better):
    """The ratios to rathole that a chart can show, of the figures of which more, or less, is better."""
    peer = column(run, "rathole")
    ours = [one for one in comparisons(run) if one.base == peer and one.figure.better == better]
    return [one for one in ours if min(one.values) > 0]


def groups(run):
    return [(title, charted(run, better)) for title, better in (("more is better", MORE), ("less is better", LESS))]
