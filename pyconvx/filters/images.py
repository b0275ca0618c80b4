"""Two images small enough to check the output of a kernel by eye; 1 is bright."""

import numpy as np
import numpy.typing as npt


def _image(*rows: str) -> npt.NDArray[np.float64]:
    """Make a read-only image from a drawing."""
    image = np.array([[float(cell == "#") for cell in row] for row in rows])
    image.flags.writeable = False
    return image


#: A bright cross, 7 x 7, with arms 3 pixels wide.
CROSS = _image(
    "..###..",
    "..###..",
    "#######",
    "#######",
    "#######",
    "..###..",
    "..###..",
)

#: A figure seven, 5 x 5.
SEVEN = _image(
    "#####",
    "....#",
    "...#.",
    "..#..",
    "..#..",
)
