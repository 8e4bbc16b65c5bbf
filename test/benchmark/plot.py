# SPDX-License-Identifier: BSL-1.0
"""CPU per request of each server as a multiple of the base's, one panel for each configuration: an
SVG with a dot at the median and a line from quartile to quartile."""
import math
from xml.sax.saxutils import escape

import plan
import report

WIDTH, LABELS, MARGIN = 760, 170, 20  # of the whole, of the names, around
ROW, TITLE, GAP = 18, 30, 14  # heights
OURS, OTHERS, RULE, INK = "#0a66c2", "#8a8a8a", "#dddddd", "#222222"
TICKS = (0.8, 1, 1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32)


class Scale:
    """Ratios, by their logarithm, to places from left to right."""

    def __init__(self, low, high):
        self.low, self.high = min(low, 0.95), max(high, 1.25)
        self.ticks = [tick for tick in TICKS if self.low <= tick <= self.high]

    def __call__(self, ratio):
        share = math.log(ratio / self.low) / math.log(self.high / self.low)
        return LABELS + share * (WIDTH - LABELS - MARGIN)


def _text(x, y, text, anchor="start", colour=INK, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
            f'font-weight="{weight}">{escape(text)}</text>')


def _line(x1, y1, x2, y2, colour, width=1):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"/>')


def _panel(configuration, rows, scale, top):
    """Its elements, and where it ends."""
    bottom = top + TITLE + ROW * len(rows)
    parts = [_text(MARGIN, top + 16, f"{configuration.title}: CPU/request ÷ {configuration.base}",
                   weight="bold")]
    for tick in scale.ticks:
        colour = INK if tick == 1 else RULE
        parts.append(_line(scale(tick), top + TITLE - 4, scale(tick), bottom, colour))
        parts.append(_text(scale(tick), bottom + 13, f"{tick:g}", "middle"))
    for number, (server, ratio) in enumerate(rows):
        y = top + TITLE + ROW * (number + 0.5)
        colour = OURS if server.ours else OTHERS
        weight = "bold" if server.ours else "normal"
        parts += [
            _text(LABELS - 10, y + 4, server.name, "end", weight=weight),
            _line(scale(ratio.low), y, scale(ratio.high), y, colour, 3),
            f'<circle cx="{scale(ratio.median):.1f}" cy="{y:.1f}" r="4.5" fill="{colour}">'
            f"<title>{escape(server.name)}: {ratio}</title></circle>",
        ]
    return parts, bottom + 16 + GAP


def plot(run):
    panels = []
    for configuration in run.configurations:
        rows = [(server, compared[0]) for server in plan.servers_of(configuration)
                if (compared := report.cpu_and_rate(run, configuration, server))]
        panels.append((configuration, rows))
    spreads = [ratio for _, rows in panels for _, ratio in rows]
    scale = Scale(min(ratio.low for ratio in spreads), max(ratio.high for ratio in spreads))
    parts, top = [], GAP
    for configuration, rows in panels:
        panel, top = _panel(configuration, rows, scale, top)
        parts += panel
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" '
        f'width="{WIDTH}" height="{top:.0f}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""])
