"""The worked examples about layers and networks: shapes, parameters, costs, receptive fields, first weights.

`CHECKS` as in golden.py.
"""

import re

import numpy as np
from golden import same

from pyconvx import activations, initializers, layers, losses, ops, solvers
from pyconvx.layers.sequence import output_shapes, sequence_parameters

RELU = layers.Activation("relu")
DIGITS = [
    layers.Conv2D(32),
    RELU,
    layers.MaxPool2D(2),
    layers.Conv2D(64),
    RELU,
    layers.MaxPool2D(2),
    layers.Flatten(),
    layers.Dense(128),
    RELU,
    layers.Dense(10),
    layers.Activation("softmax"),
]


def letters(ceil_mode):
    """A network that tells 26 letters apart."""
    stack = []
    for filters in (32, 64, 128):
        stack += [layers.Conv2D(filters), layers.MaxPool2D(2, ceil_mode=ceil_mode), layers.Activation("gelu")]
    return [*stack, layers.Flatten(), layers.Dense(64), layers.Dense(128), layers.Dense(26)]


def counts(stack, input_shape):
    """Parameters of each layer that has any."""
    totals: dict[str, int] = {}
    for name, spec in sequence_parameters(stack, tuple(input_shape)).items():
        layer = name.split(".")[0]
        totals[layer] = totals.get(layer, 0) + int(np.prod(spec.shape))
    return list(totals.values())


def costs(stack, input_shape):
    """Multiplications of each layer that has any."""
    shapes = [tuple(input_shape), *output_shapes(stack, tuple(input_shape))]
    found = [layer.multiplications(shape) for layer, shape in zip(stack, shapes[:-1], strict=True)]
    return [count for count in found if count]


def field(*steps):
    """Return the receptive field after (kernel, stride) steps, measured: the pixels that get a gradient."""
    size = 1
    for k, s in reversed(steps):
        size = (size - 1) * s + k
    widths = [size + 5]
    for k, s in steps:
        widths.append(ops.conv_output_size(widths[-1], k, stride=s))
    dy = np.zeros((1, 1, widths[-1], 1))
    dy[0, 0, 0] = 1
    for (k, s), width in zip(reversed(steps), reversed(widths[:-1]), strict=True):
        dy = ops.conv2d_backward(dy, np.zeros((1, 1, width, 1)), np.ones((1, k, 1, 1)), stride=(1, s))[0]
    return int(np.count_nonzero(dy))


def receptive_field(entry):
    right = entry["correct_value"]
    if isinstance(right, int):
        assert field(*((k, 1) for k in entry["params"]["kernels"])) == right
        return
    for name, size in right.items():
        numbers = [int(n) for n in re.findall(r"\d+", name)]
        if name.startswith("K"):
            steps = [(numbers[0], 1)] * (numbers[1] if len(numbers) > 1 else 1)
        elif name.startswith("n"):
            steps = [(3, 1), (2, 2)] * numbers[0]
        else:
            steps = [(3, 2)] * numbers[0]
        assert field(*steps) == size, name


def conv_stack(entry, padded=True):
    return [
        layers.Conv2D(row["filters"], row["kernel"], stride=row["stride"], padding=row["padding"] if padded else 0)
        for row in entry["params"]["layers"]
    ]


def architecture_shapes(entry):
    shape, right = tuple(entry["input"]), entry["correct_value"]
    if entry["id"] == "s001-arch224-shapes":
        assert output_shapes(conv_stack(entry), shape) == [tuple(s) for s in right]
        bare = output_shapes(conv_stack(entry, padded=False), shape)
        assert bare == [tuple(s) for s in entry["shapes_without_padding"]]
    elif entry["id"] == "s002-blog-26-13":
        assert output_shapes(DIGITS[:1] + DIGITS[2:3], shape) == [tuple(s) for s in right]
    elif entry["id"] == "s002-digit-shapes":
        found = [shape, *output_shapes(DIGITS, shape)]
        assert [s if len(s) == 3 else (s[0], 1) for s in found] == [tuple(s) for s in right]
    else:
        for mode, expected in right.items():
            stack = letters(mode == "ceil_pooling")
            shapes = output_shapes(stack, shape)
            without = [
                s for layer, s in zip(stack, shapes, strict=True) if not isinstance(layer, layers.Activation)
            ]
            assert without[:6] == [tuple(s) for s in expected["shapes"]]
            assert without[6] == (expected["flatten"],)
            assert counts(stack, shape) == list(expected["params"].values())
            assert sum(counts(stack, shape)) == expected["total"]


def architecture_params(entry):
    right = entry["correct_value"]
    rows = [(64, 7, 3), (128, 3, 1), (256, 3, 1), (512, 3, 1), (512, 3, 1)]
    stack = [layers.Conv2D(n, k, stride=2, padding=p) for n, k, p in rows]
    assert counts(stack, (224, 224, 3)) == right["per_layer"]
    assert sum(right["per_layer"]) == right["total"]
    assert costs(stack, (224, 224, 3)) == right["macs_per_layer"]
    assert [field(*((k, 2) for _, k, _ in rows[:n])) for n in range(1, 6)] == right["receptive_field"]


def param_count(entry):
    found = counts(DIGITS, (28, 28, 1))
    found.append(sum(found))
    names = ["conv1", "conv2", "fc1", "fc2", "total"]
    assert found[names.index(entry["id"].rpartition("-")[2])] == entry["correct_value"]


def param_count_dense(entry):
    inputs, units = entry["params"]["n_in"], entry["params"]["n_out"]
    assert counts([layers.Dense(units, bias=False)], (inputs,)) == [entry["correct_value"]]
    assert counts([layers.Dense(units)], (inputs,)) == [entry["with_bias"]]


def param_count_conv(entry):
    def weights(*sizes):
        return sum(counts([layers.Conv2D(1, k, bias=False) for k in sizes], (28, 28, 1)))

    right = entry["correct_value"]
    if entry["id"] == "s001-conv-params-1792":
        assert counts([layers.Conv2D(64)], (28, 28, 3)) == [right["total"]]
    elif entry["id"] == "s001-params-two-3x3-vs-5x5":
        assert (weights(3, 3), weights(5)) == (right["two_3x3"], right["one_5x5"])
        same(100 * (1 - weights(3, 3) / weights(5)), right["savings_percent"])
    else:
        assert {"s004-7x7-49": weights(7), "s004-three-3x3-27": weights(3, 3, 3)}[entry["id"]] == right


def macs(entry):
    right = entry["correct_value"]
    if "total" in right:
        names = ("Conv1", "Conv2", "FC1", "FC2")
        assert dict(zip(names, costs(DIGITS, (28, 28, 1)), strict=True)) == {name: right[name] for name in names}
        steps = [(3, 1), (2, 2), (3, 1), (2, 2)]
        for n, name in enumerate(("conv1", "pool1", "conv2", "pool2"), start=1):
            assert field(*steps[:n]) == right[f"receptive_field_{name}"]
        return
    for size, channels, cost, parameters in [
        (56, 64, "56x56_64to64", "64"),
        (28, 128, "28x28_128to128", "128"),
    ]:
        stack, shape = [layers.Conv2D(channels, padding="same")], (size, size, channels)
        assert costs(stack, shape) == [right[f"macs_{cost}"]]
        assert counts(stack, shape) == [right[f"params_{parameters}"]]


def cost_ratio(entry):
    assert costs([layers.Conv2D(2, 2)], (4, 4, 2)) == [entry["forward_multiplies"]]


def init_std(entry):
    """Names as "conv 3x3x32->64": the fans follow from the shape."""
    he = entry["id"] == "s001-init-he"
    scheme = initializers.he_normal if he else initializers.xavier_fan_in_normal
    for name, std in entry["correct_value"].items():
        fan_in = int(np.prod([int(n) for n in name.rpartition(" ")[2].partition("->")[0].split("x")]))
        drawn = scheme((100, fan_in), fan_in, 1, np.random.default_rng(0))
        np.testing.assert_allclose(drawn.std(), std, rtol=0.05)
        same(scheme.std(fan_in, 1), std)


def sgd_step(entry):
    right, gradient = entry["correct_value"], entry["grad_output"]
    parameters = np.concatenate([np.ravel(entry["kernel"]), entry["bias"]])
    slopes = np.concatenate([np.ravel(gradient["dF"]), gradient["db"]])
    solver = solvers.SGD(momentum=0.0, nesterov=False)
    slots = np.zeros((solver.slots, len(parameters)))
    solver.step(parameters, slopes, slots, entry["params"]["learning_rate"], 1, n_weights=len(parameters) - 2)
    same(parameters, np.concatenate([np.ravel(right["F_new"]), right["b_new"]]))


def logsoftmax_nll(entry):
    right, logits = entry["correct_value"], np.array([entry["input"]])
    same(activations.log_softmax.forward(logits)[0], right["scores"])
    gradient = np.empty_like(logits)
    value = losses.CrossEntropy().value_and_gradient(logits, np.array([0]), np.ones(1), gradient)
    same(value, right["loss"])
    same(gradient[0], right["grad_logits"])


CHECKS = {
    "architecture_params": architecture_params,
    "architecture_shapes": architecture_shapes,
    "cost_ratio": cost_ratio,
    "init_std": init_std,
    "logsoftmax_nll": logsoftmax_nll,
    "macs": macs,
    "param_count": param_count,
    "param_count_conv": param_count_conv,
    "param_count_dense": param_count_dense,
    "receptive_field": receptive_field,
    "sgd_step": sgd_step,
}
