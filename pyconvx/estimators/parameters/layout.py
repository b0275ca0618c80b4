"""The parameters that say how X is laid out."""

from typing import Any

from pyconvx.estimators import constraints as rule
from pyconvx.estimators.declaration import estimator, parameter
from pyconvx.estimators.nested import NestedParameters


def _legal_shape(low: int, words: str) -> rule.Rule:
    """Accept None, or the shape of one sample with or without its axis of channels."""

    def accepts(value: Any) -> bool:
        return rule.sizes.accepts(value) and len(value) in (low, low + 1)

    return rule.either(rule.Rule(accepts, f"{words} ints in the range [1, inf)"), rule.nothing)


@estimator
class SampleLayout(NestedParameters):
    """An estimator that takes images or signals."""

    spatial_dims: int = parameter(
        default=2,
        rule=rule.Rule(lambda v: rule.integer(1).accepts(v) and v <= 2, "1 or 2"),
        kind="{1, 2}",
        text="Axes of a sample besides its channels: 2 for images, 1 for signals. With 1, X is (n, length, "
        "channels) or (n, length), and the default stack of layers is one of 1-D layers.",
    )
    image_shape: Any = parameter(
        default=None,
        rule=rule.ByAxes(signals=_legal_shape(1, "one or two"), images=_legal_shape(2, "two or three")),
        kind="(H, W), (H, W, C) or None",
        text="Says that 2-D X holds flattened images, as tools want it that take no other X. Without it each "
        "row of 2-D X is an image with one row of pixels. For signals: (length,) or (length, channels).",
    )
    data_format: str = parameter(
        default="channels_last",
        rule=rule.choice("channels_last", "channels_first"),
        kind='{"channels_last", "channels_first"}',
        text="Where X, `image_shape` and flattened rows have the axis of channels: images are (n, H, W, C) or "
        "(n, C, H, W), signals (n, length, channels) or (n, channels, length).",
    )
