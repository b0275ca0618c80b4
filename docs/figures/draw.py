"""Draws the figures of docs/internals/kernels.md as SVG.

    python docs/figures/draw.py            writes them beside this file
    python docs/figures/draw.py --check    exits with 1 if one of them is not what would be drawn now

The drawing needs nothing but Python, and the same code draws the same bytes.
"""

import argparse
import sys
from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).parent
# paper, ink, quiet ink, lines, empty cells, then fill and edge of the four colours
LIGHT = ("#ffffff", "#1f2328", "#59636e", "#818b98", "#f1f3f5")
LIGHT_COLOURS = (("#b6d8ff", "#0969da"), ("#ffd8a8", "#bc4c00"), ("#b8e6c1", "#1a7f37"), ("#e2c5f5", "#8250df"))
DARK = ("#161b22", "#f0f6fc", "#a7b0ba", "#6e7681", "#262c34")
DARK_COLOURS = (("#1f4a7d", "#79b8ff"), ("#7a4512", "#ffab70"), ("#1d5c33", "#85e89d"), ("#55357f", "#c9a7f5"))
BLUE, ORANGE, GREEN, VIOLET = "blue", "orange", "green", "violet"
NAMES = (BLUE, ORANGE, GREEN, VIOLET)


def style(colours, fills):
    """The rules of one theme."""
    paper, ink, quiet, line, empty = colours
    rules = [
        f".paper{{fill:{paper};stroke:{line}}}",
        f"text{{fill:{ink}}}",
        f".quiet{{fill:{quiet}}}",
        f".empty{{fill:{empty};stroke:{line}}}",
        f".line{{fill:none;stroke:{line};stroke-width:1.5}}",
        f".head{{fill:{line}}}",
    ]
    for name, (fill, edge) in zip(NAMES, fills, strict=True):
        rules.append(f".{name}{{fill:{fill};stroke:{edge}}}")
        rules.append(f".frame-{name}{{fill:none;stroke:{edge};stroke-width:3}}")
    return "".join(rules)


class Drawing:
    """An SVG picture that grows.

    Parameters
    ----------
    width, height : int
        In pixels.
    title : str
        What screen readers say.
    """

    def __init__(self, width, height, title):
        dark = style(DARK, DARK_COLOURS)
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            "<style>text{font:14px 'DejaVu Sans',Verdana,Helvetica,sans-serif}.small{font-size:12px}"
            ".bold{font-weight:bold}"
            f"{style(LIGHT, LIGHT_COLOURS)}@media (prefers-color-scheme:dark){{{dark}}}</style>",
            f'<rect class="paper" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        ]

    def rect(self, x, y, width, height, kind="empty"):
        """Draw a rectangle."""
        self.parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}"/>')

    def text(self, x, y, words, kind="", anchor="start"):
        """Write a line; y is the foot of its letters."""
        self.parts.append(f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>')

    def lines(self, x, y, text, kind="quiet small", anchor="start"):
        """Write several lines, 17 pixels apart."""
        for i, words in enumerate(text.split("\n")):
            self.text(x, y + 17 * i, words, kind, anchor)

    def arrow(self, x, y, to_x, to_y):
        """Draw an arrow that runs along an axis."""
        self.parts.append(f'<path class="line" d="M{x} {y}L{to_x} {to_y}"/>')
        if y == to_y:
            back = -8 if to_x > x else 8
            points = f"{to_x},{to_y} {to_x + back},{to_y - 5} {to_x + back},{to_y + 5}"
        else:
            back = -8 if to_y > y else 8
            points = f"{to_x},{to_y} {to_x - 5},{to_y + back} {to_x + 5},{to_y + back}"
        self.parts.append(f'<polygon class="head" points="{points}"/>')

    def grid(self, x, y, rows, columns, size, kind=lambda row, column: "empty"):
        """Draw a grid of square cells, each of the kind that a function gives."""
        for row in range(rows):
            for column in range(columns):
                self.rect(x + column * size, y + row * size, size, size, kind(row, column))

    def stack(self, x, y, rows, columns, size, kind):
        """Draw a grid in front of two more, for what there is once per channel."""
        for back in (8, 4):
            self.rect(x + back, y - back, columns * size, rows * size, kind)
        self.grid(x, y, rows, columns, size, lambda *_: kind)

    def svg(self):
        """Return the picture as text."""
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def tile():
    """One step of the register tile, for a convolution forward with AVX-512."""
    rows, vectors, pixel, height, top = 6, 4, 33, 30, 176
    picture = Drawing(820, 500, "One step of the register tile")
    # the image row and the windows on it
    picture.text(24, 34, "A: one row of the image, as it lies in memory", "bold")
    picture.lines(
        24,
        54,
        "Each cell is a pixel with its C channels. Windows of\nneighbouring outputs overlap; nothing is copied.",
    )
    left = 40
    picture.grid(left, 96, 1, rows + 2, pixel)
    picture.text(left + 8 * pixel + 12, 117, "row", "quiet small")
    for m in range(rows):
        y = top + m * height
        picture.text(left - 12, y + 19, str(m), "quiet small", "middle")
        for tap in range(3):
            picture.rect(left + (m + tap) * pixel, y + 4, pixel, height - 8, BLUE if tap == 1 else "empty")
    picture.text(left - 12, top - 10, "m", "quiet small", "middle")
    picture.text(left, top - 10, "windows of 6 outputs; this step reads in blue", "quiet small")
    # one number of each window, and the row of the kernel that it meets
    column, right = 366, 432
    picture.arrow(left + 8 * pixel + 6, top + rows * height / 2, column - 6, top + rows * height / 2)
    for m in range(rows):
        picture.rect(column, top + m * height + 4, 26, height - 8, BLUE)
        picture.text(column + 13, top + m * height + 20, f"a{m}", "small", "middle")
    picture.text(right, 34, "B: one row of the packed kernel", "bold")
    picture.text(right, 54, "4 vectors of 16 output channels", "quiet small")
    width = 88
    for v in range(vectors):
        picture.rect(right + v * width, 96, width - 6, 26, ORANGE)
        picture.text(right + v * width + 41, 114, f"b{v}", "small", "middle")
    picture.arrow(right + 2 * width - 3, 126, right + 2 * width - 3, top - 22)
    picture.text(right + 2 * width + 10, 150, "times every a", "quiet small")
    for m in range(rows):
        for v in range(vectors):
            x, y = right + v * width, top + m * height
            picture.rect(x, y + 4, width - 6, height - 8, GREEN)
            picture.text(x + 41, y + 20, f"+= a{m} * b{v}", "small", "middle")
    foot = top + rows * height
    picture.text(right, foot + 22, "acc: 24 sums, one output cell in each lane", "bold")
    picture.lines(
        left - 16,
        foot + 22,
        "The next step takes the next number of every window\nand the next row of B: channels, then KW, then KH.",
    )
    for x, words, kind in (
        (
            24,
            "Registers: 24 sums, 4 vectors of B\nand one number of A, spread over\na vector: 29 of 32 (AVX-512)",
            GREEN,
        ),
        (
            288,
            "L2 cache: a panel of the packed\nkernel, up to 256 KB, and about\n128 KB of input and output",
            ORANGE,
        ),
        (552, "Memory: images and maps. A sum\nthat leaves its register early\nis stored and continued", BLUE),
    ):
        picture.rect(x, 412, 244, 70, kind)
        picture.lines(x + 12, 433, words, "small")
    return picture.svg()


def phases():
    """Which taps reach which pixels of dx, for stride 2, a 3x3 kernel and one pixel of padding."""
    size, stride, taps, padding, cell = 6, 2, 3, 1, 34
    colour = {(0, 0): BLUE, (0, 1): ORANGE, (1, 0): GREEN, (1, 1): VIOLET}
    parity = ("even", "odd")
    picture = Drawing(820, 450, "The phases of dx for stride 2")

    def reached(i):
        return [k for k in range(taps) if (i + padding - k) % stride == 0]

    picture.text(24, 34, "dx: four phases of pixels", "bold")
    x, y = 50, 92
    for i in range(size):
        picture.text(x + i * cell + cell / 2, y - 10, str(i), "quiet small", "middle")
        picture.text(x - 14, y + i * cell + 22, str(i), "quiet small", "middle")
    picture.text(x - 14, y - 10, "i, j", "quiet small", "middle")
    picture.grid(x, y, size, size, cell, lambda i, j: colour[i % 2, j % 2])
    picture.rect(x + 3 * cell, y + 3 * cell, cell, cell, "frame-violet")
    # the cells of dy that pixel (3, 3) gets
    X = 320
    picture.text(X - 2, 34, "dy", "bold")
    for i in range(3):
        picture.text(X + i * cell + cell / 2, y - 10, str(i), "quiet small", "middle")
        picture.text(X - 14, y + i * cell + 22, str(i), "quiet small", "middle")
    met = {(3 + padding - k) // stride for k in reached(3)}
    picture.grid(X, y, 3, 3, cell, lambda i, j: VIOLET if {i, j} <= met else "empty")
    picture.arrow(X - 2 + 1.5 * cell, y + 3 * cell + 6, X - 2 + 1.5 * cell, y + 4.2 * cell)
    picture.lines(
        X - 22, y + 4.2 * cell + 22, "pixel (3, 3) of dx gets\nthese four cells of dy,\nthrough the corner taps"
    )
    # the four phases as parts of the kernel
    left = 492
    picture.text(left, 34, "w: the taps that each phase sees", "bold")
    for (row, column), kind in colour.items():
        a, b = left + column * 166, 62 + row * 158
        rows, columns = reached(row), reached(column)
        picture.grid(
            a, b, taps, taps, 26, lambda kh, kw, r=rows, c=columns, k=kind: k if kh in r and kw in c else "empty"
        )
        words = f"i {parity[row]}, j {parity[column]}:\n{len(rows)}x{len(columns)} taps of the 3x3"
        picture.lines(a, b + 98, words)
    picture.lines(
        24,
        388,
        "A phase is the pixels whose remainders modulo 2 are alike. It is a convolution of stride 1 over dy,\n"
        "with its part of the kernel rotated, and writes every second pixel of every second row of dx.\n"
        "Together the phases use each of the nine taps once: no zero is multiplied.",
    )
    return picture.svg()


def winograd():
    """The tiles and transforms of F(2x2, 3x3), and the products that they turn into."""
    picture = Drawing(820, 520, "Winograd's tiles and transforms")
    cell = 20
    picture.text(24, 34, "x: patches of 4x4 overlap by two", "bold")
    x, y = 24, 54
    picture.grid(x, y, 8, 8, cell, lambda i, j: BLUE if 2 <= i < 6 and 2 <= j < 6 else "empty")
    picture.rect(x + 4 * cell, y + 2 * cell, 4 * cell, 4 * cell, "frame-orange")
    picture.lines(x, y + 8 * cell + 20, "one patch d, and in the frame\nthat of the next tile")
    # from patch to tile
    top = 94
    picture.arrow(192, top + 40, 232, top + 40)
    picture.text(248, top - 20, "V = B' d B", "bold")
    picture.stack(248, top, 4, 4, cell, BLUE)
    picture.text(354, top + 46, "·", "bold", "middle")
    picture.text(376, top - 20, "U = G g G'", "bold")
    picture.stack(376, top, 4, 4, cell, ORANGE)
    picture.arrow(476, top + 40, 516, top + 40)
    picture.text(528, top - 20, "M", "bold")
    picture.grid(528, top, 4, 4, cell, lambda *_: GREEN)
    picture.arrow(620, top + 40, 660, top + 40)
    picture.text(672, top - 20, "y = A' M A + b", "bold")
    picture.grid(672, top + 20, 2, 2, cell, lambda *_: GREEN)
    picture.lines(248, top + 104, "one V for each\ninput channel")
    picture.text(376, top + 196 - 30, "g", "bold")
    picture.grid(396, top + 142, 3, 3, cell, lambda *_: ORANGE)
    picture.arrow(426, top + 136, 426, top + 92)
    picture.lines(528, top + 104, "4x4 numbers multiplied one\nby one, summed over channels")
    picture.lines(730, top + 36, "one tile\nof the map")
    # the same for all tiles at once
    base = 352
    picture.text(
        24,
        base - 22,
        "The same for all tiles: 16 matrix products on the register tile, one for each place of the 4x4",
        "bold",
    )
    for back in (16, 8, 0):
        a, b = back + 60, base + 24 - back
        picture.rect(a, b, 96, 104, BLUE)
        picture.rect(a + 180, b + 4, 150, 96, ORANGE)
        picture.rect(a + 424, b, 150, 104, GREEN)
    picture.text(108, base + 80, "V", "bold", "middle")
    picture.text(315, base + 80, "U", "bold", "middle")
    picture.text(559, base + 80, "M", "bold", "middle")
    picture.text(204, base + 80, "x", "", "middle")
    picture.text(444, base + 80, "=", "", "middle")
    picture.lines(60, base + 146, "tiles by C")
    picture.lines(240, base + 146, "C by OC")
    picture.lines(484, base + 146, "tiles by OC")
    picture.lines(
        662,
        base + 32,
        "For a 2x2 tile, one\ninput channel and one\noutput channel: 16\nproducts. The direct\n"
        "way takes 4 * 9 = 36.",
    )
    return picture.svg()


FIGURES = {"tile": tile, "phases": phases, "winograd": winograd}


def main():
    """Write the figures, or compare them with the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing, exit with 1 if a figure is out of date"
    )
    check = parser.parse_args().check
    stale = []
    for name, draw in FIGURES.items():
        path, text = FOLDER / f"{name}.svg", draw()
        if check and (not path.exists() or path.read_text() != text):
            stale.append(path.name)
        elif not check:
            path.write_text(text)
    if stale:
        print(f"out of date: {', '.join(stale)}; python docs/figures/draw.py draws them", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
