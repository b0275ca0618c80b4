"""Plans of convolutions that go one way or the other whatever the shapes, and scratch full of NaN."""

from unittest.mock import patch

import numpy as np

from pyconvx.ops import winograd
from pyconvx.ops.conv_plan import ConvPlan


def plan_by(way, *arguments):
    """A ConvPlan by "winograd", which takes 3x3 windows of stride 1, or "direct"."""
    with patch.object(winograd, "suits", lambda *sizes: way == "winograd"):
        return ConvPlan(*arguments)


def scratch_of(numbers, dtype):
    """Scratch of exactly so many numbers, all of them NaN."""
    return np.full(numbers, np.nan, dtype)


def convolved(plan, x, kernel, bias=None):
    """What the plan's forward writes."""
    y = np.full(plan.output_shape, np.nan, x.dtype)
    plan.forward(x, kernel, bias, y, None, None, None, scratch_of(plan.forward_scratch, x.dtype))
    return y
