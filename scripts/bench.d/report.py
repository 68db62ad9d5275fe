"""What the samples say: ratios of rounds, floors kept or not, and the table of it all in Markdown."""

import statistics
from dataclasses import dataclass
from typing import Optional

from figures import FIGURES, LESS, MORE, NOT_MORE, PLAIN, Figure
from tunnels import kind_of


@dataclass
class Comparison:
    """Ours against another column, round by round: ratios, or differences where there is nothing to divide by."""

    figure: Figure
    base: str
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
    """One for each figure that both have, one more for each that Noise must keep of our own."""
    ours, peer = column(run, "pinhole"), column(run, "rathole")
    found = []
    for figure in FIGURES:
        floor = figure.noise if run["transport"] == "noise" else figure.plain
        found.append(compare(run, figure, ours, peer, floor))
        if figure.own:
            found.append(compare(run, figure, ours, PLAIN, figure.own))
    return [comparison for comparison in found if comparison.values]


def column(run, kind):
    """The first column of a kind."""
    return next((name for name in run["programs"] if kind_of(name) == kind), None)


def compare(run, figure, ours, base, floor):
    row = run["samples"].get(figure.key, {})
    pairs = [pair for pair in zip(row.get(ours, []), row.get(base, [])) if None not in pair]
    if figure.better == NOT_MORE:
        values = [own - other for own, other in pairs]
    else:
        values = [own / other for own, other in pairs if other > 0]
    return Comparison(figure, base, values, floor)


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
    return [
        f"{run['date']}, {run['machine']}; {programs}.",
        f"Over loopback, {'with Noise' if run['transport'] == 'noise' else 'plain'}: median (least – most) of "
        f"{count(run['rounds'], 'round')} of {run['seconds']} s; ratios are those within a round.",
        f"`{run['command']}`",
    ]


def count(number, what):
    return f"{number} {what}{'s' if number != 1 else ''}"


def line(cells):
    return f"| {' | '.join(cells)} |"


def figure_rows(run, figure, names):
    """The figure's row with the ratio to rathole, and one for each other comparison; nothing if it was not measured."""
    samples = run["samples"].get(figure.key)
    if not samples:
        return []
    cells = [spread([value for value in samples.get(name, []) if value is not None]) for name in names]
    rows = [[f"{figure.key} {figure.unit}".rstrip(), *cells, "", "", ""]]
    for comparison in (one for one in comparisons(run) if one.figure is figure):
        if comparison.base == PLAIN:
            rows.append([f"{figure.key}, of our own plain", *[""] * len(names), *verdict(comparison)])
        else:
            rows[0][-3:] = verdict(comparison)
    return rows


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
