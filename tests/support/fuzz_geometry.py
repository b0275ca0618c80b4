"""Which windows are legal and how many there are: an independent answer for the fuzz tests, for any sizes."""

import numpy as np
import oracle
from fuzzing import both, padding_fault, pair_fault, plain

FEW = 10_000  # windows along an axis that the oracle may slide over


def cells(size, taps, stride, padding, dilation, ceil_mode=False):
    """Count the windows along one axis, by the formula if there are too many to slide; 0 if none fits."""
    room = size + sum(padding) - dilation * (taps - 1) - 1
    if room < 0 and not (ceil_mode and -room < stride):
        return 0
    if (size + sum(padding)) // stride < FEW:
        return oracle.output_size(size, taps, stride, padding, dilation, ceil_mode)
    count = -(-room // stride) + 1 if ceil_mode else room // stride + 1
    return count - (ceil_mode and (count - 1) * stride >= size + padding[0])


def spelling_faults(options):
    """Of stride, padding and dilation, each on its own."""
    faults = padding_fault(options["padding"])
    for name in ("stride", "dilation"):
        if name in options:
            faults += pair_fault(name, options[name], 1)
    return faults


def is_on(switch):
    """Return whether a flag is legal and on."""
    return switch is True or switch is np.True_


def sees(start, taps, dilation, size):
    """Return whether a window has a tap in the image."""
    first = max(0, -(start // dilation))
    return first < taps and start + first * dilation < size


class Windows:
    """Return the geometry of legal parameters, in the form that the oracle takes."""

    def __init__(self, size, kernel_size, options, ceil_mode=False):
        self.size, self.kernel_size = size, kernel_size
        self.stride, self.dilation = both(options["stride"]), both(options.get("dilation", 1))
        self.padding = oracle.sides(plain(options["padding"]), size, kernel_size, self.stride, self.dilation)
        self.padded = tuple(n + sum(sides) for n, sides in zip(size, self.padding, strict=True))
        axes = zip(size, kernel_size, self.stride, self.padding, self.dilation, strict=True)
        self.out = tuple(cells(*axis, ceil_mode) for axis in axes)

    def faults(self):
        """That no window fits."""
        if all(self.out):
            return []
        return [("x".join(map(str, self.kernel_size)), "x".join(map(str, self.padded)))]

    def empty_faults(self):
        """That a window of a pool lies wholly in padding, or steps over the image."""
        found = []
        axes = zip(self.size, self.kernel_size, self.stride, self.padding, self.dilation, self.out, strict=True)
        for n, taps, stride, sides, dilation, windows in axes:
            extent = dilation * (taps - 1) + 1
            if max(sides) >= extent:
                found.append(("padding", str(max(sides)), str(extent)))
            # that many windows there are only with huge padding, and one then starts right before the image
            elif dilation > 1 and (
                windows >= FEW or not all(sees(i * stride - sides[0], taps, dilation, n) for i in range(windows))
            ):
                found.append(("has no tap", str(n), str(sides)))
        return found
