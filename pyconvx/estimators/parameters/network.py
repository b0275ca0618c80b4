"""The parameters that say which layers there are."""

from typing import Any

import numpy as np

from pyconvx import activations, architectures, initializers
from pyconvx.estimators import constraints as rule
from pyconvx.estimators.declaration import estimator, parameter
from pyconvx.estimators.parameters.layout import SampleLayout
from pyconvx.estimators.transfer import is_source
from pyconvx.layers.space import check_padding


def _legal_padding(axes: int) -> Any:
    def accepts(value: Any) -> bool:
        try:
            check_padding(value, axes)
        except (TypeError, ValueError):
            return False
        return not isinstance(value, str) or value in ("same", "valid")

    return accepts


def _legal_dtype(value: Any) -> bool:
    if value is None or not isinstance(value, (str, type, np.dtype)):
        return value is None
    try:
        return np.dtype(value) in (np.float32, np.float64)
    except (TypeError, ValueError, SyntaxError):  # NumPy has text parsed as Python's
        return False


def _legal_names(value: Any) -> bool:
    names = [value] if isinstance(value, str) else rule.listed(value)
    return names is not None and all(isinstance(name, str) for name in names)


def _meant_as_none(value: Any) -> str:
    return "Did you mean 'identity'?" if value is None else ""


_WINDOW_OR_AUTO = rule.ByAxes(
    signals=rule.either(rule.integer(1), rule.choice("auto")), images=rule.either(rule.pair, rule.choice("auto"))
)
_SIZES_OR_AUTO = rule.either(rule.integer(1), rule.sizes, rule.choice("auto"))


@estimator
class NetworkParameters(SampleLayout):
    """An estimator around a network."""

    input_scale: Any = parameter(
        default="auto",
        rule=rule.either(rule.real(0, above=True), rule.choice("auto")),
        kind='float or "auto"',
        text='What X is multiplied by as batches are drawn, so that integers stay small in memory. "auto" is '
        "1/255 for uint8 and 1 for everything else. Networks learn well from numbers up to about 1: take 1/65535 "
        "for 16-bit images, 1/16 for the digits of scikit-learn.",
    )

    filters: Any = parameter(
        default="auto",
        kw_only=False,
        rule=_SIZES_OR_AUTO,
        kind='int, sequence of int or "auto"',
        text='Output channels of each convolution of the default stack. "auto" chooses depth and widths by the '
        "size of the input, with batch norm, and a global average in place of the hidden dense layer. A sequence "
        "makes a convolution, an activation and a max pool of each entry; more and wider ones learn finer detail "
        "and cost time; an empty sequence leaves dense layers only.",
    )
    kernel_size: Any = parameter(
        default="auto",
        rule=_WINDOW_OR_AUTO,
        kind='int, pair of int or "auto"',
        text='Size of the convolutions\' kernels. "auto" is 3, but for signals with ``filters="auto"`` 8 and 5 '
        "come first. A kernel larger than its map is clipped to it. Raise it if what matters is large and smooth.",
    )
    pool_size: Any = parameter(
        default="auto",
        rule=_WINDOW_OR_AUTO,
        kind='int, pair of int or "auto"',
        text='Size of the max pools, clipped as kernels are. "auto" is 2. 1 leaves the pools out, which keeps '
        "every position and costs time and, before a dense layer, many parameters.",
    )
    padding: Any = parameter(
        default="same",
        rule=rule.ByAxes(
            signals=rule.Rule(_legal_padding(1), 'an int, (before, after), "same" or "valid"'),
            images=rule.Rule(_legal_padding(2), 'an int, a pair, a pair of pairs, "same" or "valid"'),
        ),
        kind='int, pair, pair of pairs, "same" or "valid"',
        text='Zeros around what a convolution gets. "same" keeps the size of the map, "valid" adds none; '
        "numbers are for both sides, (height, width) or ((top, bottom), (left, right)).",
    )
    hidden_layer_sizes: Any = parameter(
        default="auto",
        rule=_SIZES_OR_AUTO,
        kind='int, sequence of int or "auto"',
        text='Units of the dense layers after the convolutions. "auto" is none for images and signals with '
        '``filters="auto"``, where a global average comes first, and otherwise (128,). An empty sequence connects '
        "the maps with the output layer directly, which often suffices for small data.",
    )
    activation: Any = parameter(
        default="relu",
        rule=rule.plugin(activations.registry, hint=_meant_as_none),
        kind="str or object",
        text="Function after each convolution and each hidden dense layer: a name of `pyconvx.activations` or "
        "of an installed plugin, or an object.",
    )
    dropout: float = parameter(
        default=0.0,
        rule=rule.real(0, 1),
        kind="float",
        text="Fraction of the units that is dropped at random after each hidden dense layer, or before the output "
        "layer if there is none, in training only. "
        "Try 0.2 to 0.5 if the validation score falls while the loss still improves.",
    )
    batch_norm: Any = parameter(
        default="auto",
        rule=rule.either(rule.boolean, rule.choice("auto")),
        kind='bool or "auto"',
        text='Whether batch normalisation follows each convolution. "auto" means yes for images and signals with '
        '``filters="auto"``, unless ``solver="lbfgs"``, and otherwise no. It helps deep stacks and larger '
        "learning rates, and costs nothing when predicting; batches should have 16 rows or more.",
    )
    initializer: Any = parameter(
        default="auto",
        rule=rule.plugin(initializers.registry, "auto"),
        kind="str or object",
        text='How kernels begin; "auto" takes what the activation declares (He for the ReLU family, Xavier for '
        "tanh and sigmoid).",
    )
    layers: Any = parameter(
        default=None,
        rule=rule.either(
            rule.Rule(lambda v: rule.listed(v) is not None, "a sequence of layers"),
            rule.plugin(architectures.registry),
            rule.nothing,
        ),
        kind="sequence of layers, str, object or None",
        text="Replaces everything before the output layer: values of `pyconvx.layers`, or names of layers that "
        "need no arguments, with `Flatten` added before the first dense layer if it is missing; or an "
        'architecture, a value of `pyconvx.architectures` or the name of one, such as "digits".',
    )
    init_from: Any = parameter(
        default=None,
        rule=rule.Rule(is_source, "a fitted estimator, its network, the path of a model file, a dict or None"),
        kind="estimator, Network, path, dict or None",
        text="Where a new network's weights come from in place of random numbers: a fitted estimator, its "
        "``network_`` or a model file gives all that has the same name and shape here, except the output layer; a "
        "dict gives arrays by their names in ``network_.parameters``. `sklearn.base.clone`, and so every search, "
        "makes a fitted estimator unfitted: there pass ``network_``.",
    )
    frozen: Any = parameter(
        default=(),
        rule=rule.Rule(_legal_names, "a str or a sequence of str"),
        kind="str or sequence of str",
        text="Layers, or single parameters, that training does not change, by their names in "
        "``network_.names`` and ``network_.parameters``. Change it between calls of `fit` with `warm_start`, "
        "or of `partial_fit`, to keep what was learnt before.",
    )
    dtype: Any = parameter(
        default=None,
        rule=rule.Rule(_legal_dtype, "'float32', 'float64' or None"),
        kind='{"float32", "float64"} or None',
        text="Precision of the network. None keeps float64 data in float64 and computes everything else in "
        'float32. "float32" halves the time for float64 data.',
    )
