"""Two small images on which each kernel's answer can be followed by eye; 1 is bright."""

import numpy as np
import numpy.typing as npt


def _image(*rows: str) -> npt.NDArray[np.float64]:
    """A read-only image from a drawing."""
    image = np.array([[float(cell == "#") for cell in row] for row in rows])
    image.flags.writeable = False
    return image


#: A bright cross, 7 x 7, its arms 3 wide.
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
