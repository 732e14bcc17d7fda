"""Writes src/plot/glyphs.ts: outlines of DejaVu Sans, so that charts have text where no font is installed.

Usage: python3 scripts/make-glyphs.py /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf > src/plot/glyphs.ts
(Debian: python3-fonttools fonts-dejavu-core)
"""
import sys

from fontTools.pens.basePen import BasePen
from fontTools.ttLib import TTFont

CHARS = "".join(map(chr, range(32, 127))) + "\u00b0\u00b1\u00b5\u00d7\u2013\u2026\u2264\u2265"
EM = 1000


class Path(BasePen):
    """SVG path data, whole numbers, y down from the baseline; commands relative to the point before."""

    def __init__(self, glyphs, scale):
        super().__init__(glyphs)
        self.scale, self.out, self.at = scale, [], (0, 0)

    def to(self, command, *points):
        points = [(round(x * self.scale), -round(y * self.scale)) for x, y in points]
        numbers = [n for x, y in points for n in (x - self.at[0], y - self.at[1])]
        self.out.append(command + "".join(str(n) if i == 0 or n < 0 else f" {n}" for i, n in enumerate(numbers)))
        self.at = points[-1]

    def _moveTo(self, p):
        self.to("m", p)
        self.start = self.at

    def _lineTo(self, p):
        self.to("l", p)

    def _qCurveToOne(self, p1, p2):
        self.to("q", p1, p2)

    def _closePath(self):
        self.out.append("z")
        self.at = self.start


def main():
    font = TTFont(sys.argv[1])
    scale = EM / font["head"].unitsPerEm
    glyphs, names = font.getGlyphSet(), font.getBestCmap()
    print("// Made by scripts/make-glyphs.py from DejaVu Sans, whose license is in THIRD_PARTY_NOTICES.")
    print()
    print("/** Units of the em square. */")
    print(f"export const EM = {EM};")
    print()
    print("/** Advance width, and the outline as SVG path data: y down from the baseline, filled by the nonzero rule. */")
    print("export const GLYPHS: Readonly<Record<string, readonly [advance: number, path: string]>> = {")
    for char in CHARS:
        glyph = glyphs[names[ord(char)]]
        pen = Path(glyphs, scale)
        glyph.draw(pen)
        key = '"\\""' if char == '"' else '"\\\\"' if char == "\\" else f'"{char}"'
        print(f'  {key}: [{round(glyph.width * scale)}, "{"".join(pen.out)}"],')
    print("};")


main()
