"""The worked examples: where their file is, and how those of single operations are computed with the package.

Each function takes an entry and asserts its right value; `CHECKS`, at the end, finds it by the operation.
The file is not part of the project: PYCONVX_GOLDEN names it.
"""

import json
import os
from pathlib import Path

import numpy as np

from pyconvx import activations, ops
from pyconvx.filters import KERNELS


def entries():
    """Return all examples, or none if the file is missing."""
    path = os.environ.get("PYCONVX_GOLDEN")
    return json.loads(Path(path).read_text(encoding="utf-8")) if path else []


def same(got, expected):
    """Check that shape and values are equal, to rounding."""
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12, strict=False)


def image(values):
    """Return a batch of one image in float64."""
    return np.array(values, np.float64)[None]


def options(entry):
    params = entry["params"]
    return {"stride": tuple(params.get("stride", (1, 1))), "padding": tuple(params.get("padding", (0, 0)))}


def convolve(entry, x=None, kernel=None):
    x = image(entry["input"] if x is None else x)
    kernel = np.array(entry["kernel"] if kernel is None else kernel)
    bias = None if entry["bias"] is None else np.array(entry["bias"], np.float64)
    return ops.conv2d(x, kernel, bias, **options(entry))[0]


def gradients(entry, dy=None):
    dy = image(entry["grad_output"] if dy is None else dy)
    return ops.conv2d_backward(dy, image(entry["input"]), np.array(entry["kernel"]), **options(entry))


def conv2d_forward(entry):
    y = convolve(entry)
    same(y, entry.get("correct_full", entry["correct_value"]))
    if "correct_full" in entry:
        plane = y[:, :, entry["params"]["output_channel"]]
        same(plane, np.reshape(entry["correct_value"], plane.shape))
    if entry.get("correct_at_documented_index") is not None and entry["documented_index"] is not None:
        same(y[tuple(entry["documented_index"])], entry["correct_at_documented_index"])


def conv2d_true_convolution(entry):
    same(convolve(entry, kernel=np.array(entry["kernel"])[::-1, ::-1]), entry["correct_value"])


def conv2d_relu(entry):
    same(activations.relu.forward(convolve(entry)), entry["correct_value"])


def conv2d_backward_filter(entry):
    if isinstance(entry["grad_output"], dict):
        for name, dy in entry["grad_output"].items():
            same(gradients(entry, dy)[1], entry["correct_value"][f"dF_{name}"])
    else:
        same(gradients(entry)[1], entry["correct_value"])


def conv2d_backward_bias(entry):
    same(gradients(entry)[2], entry["correct_value"])


def conv2d_backward_input(entry):
    dx, dkernel, dbias = gradients(entry)
    same(dx[0], entry["correct_value"])
    for got, key in [(dkernel, "correct_dF"), (dbias, "correct_db")]:
        if key in entry:
            same(got, entry[key])


def conv2d_both(entry):
    right = entry["correct_value"]
    dx, dkernel, dbias = gradients(entry)
    for got, key in [(convolve(entry), "output"), (dx[0], "dI"), (dkernel, "dF"), (dbias, "db")]:
        same(got, right[key])


def conv_output_size(entry):
    right, size, kernel = entry["correct_value"], entry["input"], entry["kernel"]
    if isinstance(right, list) and isinstance(right[0], dict):
        for row in right:
            n = row.get("W", size[0] if size else None)
            assert ops.conv_output_size(n, row["K"], stride=row.get("S", 1), padding=row["P"]) == row["out"]
    elif entry["params"]["padding"] == "same":
        for (n, _), k in [(n, k) for n in size for k in kernel]:
            assert ops.conv_output_size(n, k, padding="same") == right[f"n{n}k{k}"]
    else:
        stride, padding = entry["params"]["stride"], entry["params"]["padding"]
        expected = [right["floor"]] * 2 if isinstance(right, dict) else right
        for n, k, s, p, out in zip(size, kernel, stride, padding, expected, strict=True):
            assert ops.conv_output_size(n, k, stride=s, padding=p) == out


def conv_output_shape(entry):
    shape = ops.conv2d(np.zeros((1, *entry["input"])), np.zeros(entry["kernel"])).shape[1:]
    if entry["params"].get("documented_layout") == "C,H,W":
        shape = (shape[2], *shape[:2])
    right = entry["correct_value"]
    if isinstance(right, dict):
        assert int(np.prod(entry["kernel"])) == right["weights"]
        right = right["output_shape"]
    assert shape == tuple(right)


def pool_output_size(entry):
    for size, right in zip(entry["input"], entry["correct_value"], strict=True):
        assert ops.max_pool2d(np.zeros((1, *size, 1)), 2)[0].shape[1:3] == tuple(right)


def maxpool2d_forward(entry):
    x, params = image(entry["input"]), entry["params"]
    size, stride = tuple(params["pool"]), tuple(params["stride"])
    same(ops.max_pool2d(x, size, stride=stride)[0][0], entry["correct_value"])
    if "correct_ceil_mode" in entry:
        same(ops.max_pool2d(x, size, stride=stride, ceil_mode=True)[0][0], entry["correct_ceil_mode"])
        same(ops.max_pool2d(x, size, stride=1)[0][0], entry["correct_stride1"])


def maxpool2d_backward(entry):
    x = image(entry["input"])
    _, argmax = ops.max_pool2d(x, 2)
    same(ops.max_pool2d_backward(image(entry["grad_output"]), argmax, x.shape)[0], entry["correct_value"])


def pipeline(entry):
    right = entry["correct_value"]
    y = ops.conv2d(image(entry["input"]), np.array(entry["kernel"]), np.array(entry["bias"]))
    same(y[0], right["conv"])
    y = activations.relu.forward(y)
    same(y[0], right["relu"])
    for key, extra in [("floor", {}), ("ceil", {"ceil_mode": True}), ("stride1", {"stride": 1})]:
        same(ops.max_pool2d(y, 2, **extra)[0][0], right[f"maxpool_{key}"])


def translation_equivariance(entry):
    for name, x in entry["input"].items():
        y = convolve(entry, x) if entry["kernel"] else ops.max_pool2d(image(x), 2)[0][0]
        same(y, entry["correct_value"][f"out_{name}"])


def rotation(entry):
    out = {name: convolve(entry, x) for name, x in entry["input"].items()}
    for name, y in out.items():
        same(y, entry["correct_value"][f"out_{name}"])
    rotated = [np.array_equal(np.rot90(out["a"], turns), out["b"]) for turns in range(4)]
    assert not any(rotated)


def relu(entry):
    x, right = np.array(entry["input"]), entry["correct_value"]
    y = activations.relu.forward(x)
    if isinstance(right, dict):
        same(activations.relu.backward(np.ones_like(x), x, y), right["grad"])
        right = right["value"]
    same(y, right)


def gelu(entry):
    name = "gelu_tanh" if "tanh" in entry["params"].get("variant", "") else "gelu"
    activation, x = activations.registry.get(name), np.array(entry["input"])
    y = activation.forward(x)
    same(np.round(y, entry["params"].get("round", 17)), entry["correct_value"])
    if "correct_full_precision" in entry:
        same(y, entry["correct_full_precision"])
    if "correct_tanh" in entry:
        same(activations.registry.get("gelu_tanh").forward(x), entry["correct_tanh"])
    if "correct_grad" in entry:
        same(activation.backward(np.ones_like(x), x, y), entry["correct_grad"])


def kernel_definitions(entry):
    for name, taps in entry["kernel"].items():
        kernel = KERNELS["gaussian_blur" if name == "gaussian" else name]
        same(kernel, taps)
        right = entry["correct_value"][name]
        assert round(float(kernel.sum()), 12) == right["sum"]
        assert np.array_equal(kernel, np.rot90(kernel, 2)) == right["symmetric_180"]


def extract_patch(entry):
    """Nine kernels with a single one each list the windows."""
    letters = np.array([[ord(letter) for letter in row] for row in entry["input"]], np.float64)
    taps = np.eye(9).reshape(3, 3, 1, 9)
    y = ops.conv2d(letters[None, :, :, None], taps, stride=tuple(entry["params"]["stride"]))[0]
    windows = [[[[chr(int(v)) for v in row] for row in cell.reshape(3, 3)] for cell in line] for line in y]
    at = {"s004-letters-first": (0, 0)}.get(entry["id"], (0, 1))
    assert entry["correct_value"] == (windows if entry["id"].endswith("all") else windows[at[0]][at[1]])


def coverage_count(entry):
    """How often each pixel is seen is the gradient of a sum."""
    x, ones = np.zeros((1, *entry["input"], 1)), np.ones((3, 3, 1, 1))
    y = ops.conv2d(x, ones, **options(entry))
    same(ops.conv2d_backward(np.ones_like(y), x, ones, **options(entry))[0][0], entry["correct_value"])


def pad(entry):
    x = np.zeros((1, *entry["input"], 1))
    assert ops.conv2d(x, np.ones((1, 1, 1, 1)), padding=1).shape[1:3] == tuple(entry["correct_value"])


CHECKS = {
    "conv+relu+maxpool": pipeline,
    "conv2d_backward_bias": conv2d_backward_bias,
    "conv2d_backward_filter": conv2d_backward_filter,
    "conv2d_backward_input": conv2d_backward_input,
    "conv2d_forward": conv2d_forward,
    "conv2d_forward+backward": conv2d_both,
    "conv2d_forward+relu": conv2d_relu,
    "conv2d_sign": conv2d_forward,
    "conv2d_true_convolution": conv2d_true_convolution,
    "conv_output_shape": conv_output_shape,
    "conv_output_shape+param_count": conv_output_shape,
    "conv_output_size": conv_output_size,
    "coverage_count": coverage_count,
    "extract_patch": extract_patch,
    "gelu": gelu,
    "kernel_definitions": kernel_definitions,
    "maxpool2d_backward": maxpool2d_backward,
    "maxpool2d_forward": maxpool2d_forward,
    "pad": pad,
    "pool_output_size": pool_output_size,
    "relu": relu,
    "relu+grad": relu,
    "rotation": rotation,
    "translation_equivariance": translation_equivariance,
}
