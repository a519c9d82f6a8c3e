"""Draws reports as an SVG: a panel for each shape, in which each engine is a bar on one axis from zero.

    python -m benchmarks.peers.picture < results.jsonl > picture.svg

It follows the reader's colour scheme, so it is legible on light and dark pages.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from html import escape

from benchmarks.peers.report import Report, Row, from_json

WIDTH, LABELS, MARGIN = 760, 250, 16
BAR, GAP, HEAD, AXIS, LINE = 17, 6, 30, 24, 15
OURS = "asr-api"
STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .faint { fill: #59636e; font-size: 11px }
.head { font-weight: 600; font-size: 13px } .bar { fill: #8c959f } .ours { fill: #0969da } line { stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .faint { fill: #9198a1 } .bar { fill: #656c76 } .ours { fill: #4493f8 } line { stroke: #3d444d }
}
</style>"""


def picture(reports: list[Report]) -> str:
    parts: list[str] = []
    top = MARGIN
    for report in reports:
        for panel in report.panels:
            rows = [row for row in panel.rows if not row.failure]
            parts += bars(f"whisper-{panel.shape}: times real time, {report.audio_s:.0f} s of audio", rows, top)
            top += HEAD + len(rows) * (BAR + GAP) + AXIS
    lines = caption(reports)
    parts += [
        f'<text class="faint" x="{MARGIN}" y="{top + LINE * (i + 1)}">{escape(t)}</text>' for i, t in enumerate(lines)
    ]
    height = top + LINE * len(lines) + MARGIN
    title = "Speed of Whisper engines on a processor"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">'
    return "\n".join([head, STYLE, *parts, "</svg>\n"])


def bars(title: str, rows: list[Row], top: int) -> Iterator[str]:
    fastest = max((row.rtfx for row in rows), default=1.0)
    step = nice_step(fastest)
    scale = (WIDTH - LABELS - 3 * MARGIN - 30) / fastest
    bottom = top + HEAD + len(rows) * (BAR + GAP)
    yield f'<text class="head" x="{MARGIN}" y="{top + 14}">{escape(title)}</text>'
    for index in range(int(fastest / step) + 1):
        x = LABELS + index * step * scale
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top + HEAD - GAP}" y2="{bottom}"/>'
        yield f'<text class="faint" x="{x:.1f}" y="{bottom + 12}" text-anchor="middle">{index * step:g}</text>'
    for index, row in enumerate(rows):
        y = top + HEAD + index * (BAR + GAP)
        kind = "ours" if row.engine.startswith(OURS) else "bar"
        length = row.rtfx * scale
        yield f'<text x="{LABELS - 8}" y="{y + 13}" text-anchor="end">{escape(row.engine)}</text>'
        yield f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
        yield f'<text x="{LABELS + length + 6:.1f}" y="{y + 13}">{row.rtfx:.0f}×</text>'


def nice_step(largest: float) -> float:
    """1, 2 or 5 times a power of ten, so that the axis has four to ten marks."""
    power = 10.0 ** math.floor(math.log10(largest / 4))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= largest / 4)


def caption(reports: list[Report]) -> list[str]:
    first = reports[0]
    versions = [f"{package} {number}" for report in reports for package, number in report.versions.items()]
    return [
        "From a file on disk to text, medians of interleaved rounds, the same weights and tokens for all.",
        f"{first.machine}, {first.date}.",
        ", ".join(sorted(set(versions))) + ".",
    ]


if __name__ == "__main__":
    sys.stdout.write(picture([from_json(line) for line in sys.stdin if line.startswith("{")]))
