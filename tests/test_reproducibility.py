"""The same bits on any number of threads, on the levels with FMA, in any batch, after a fork."""

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from isa import FUSED, LEVELS, load
from nets import MIXED, RELU, outputs, pictures
from small import fitted, images, weights_of

from pyconvx import CNNClassifier
from pyconvx.layers import (
    Activation,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    Residual,
    SeparableConv2D,
)
from pyconvx.network import Network
from pyconvx.schedules import OneCycle
from pyconvx.solvers import AdamW, RMSprop

SHAPE = (18, 17, 3)
NETS = {
    "same, valid": [
        Conv2D(16, padding="same"), RELU, MaxPool2D(2), Conv2D(24), RELU, MaxPool2D(2), Dense(33), RELU,
    ],
    "stride, groups": [
        Conv2D(20, 5, stride=2, padding=2), Activation("gelu"), Conv2D(20, stride=(1, 2), groups=4),
        Activation("silu"), MaxPool2D(3, stride=2, padding=1, ceil_mode=True), Dropout(0.3),
    ],
    "depthwise, norm": [
        Conv2D(8, bias=False), BatchNorm(), Activation("tanh"), DepthwiseConv2D(multiplier=2, padding="same"),
        BatchNorm(), Activation("sigmoid"), AvgPool2D(2), SeparableConv2D(9, dilation=2, padding="same"),
        Activation("mish"),
    ],
    "residual": [
        Conv2D(12, padding="same"), Activation("elu"), AvgPool2D(3, stride=1, padding=1, count_include_pad=True),
        Residual((Conv2D(12, padding="same"), BatchNorm(), RELU, Dropout(0.2), Conv2D(12, padding="same"))),
        Residual((Conv2D(16, stride=2, padding=1),), (Conv2D(16, 1, stride=2),)), Activation("softplus"),
        GlobalAvgPool2D(),
    ],
}  # fmt: skip
SOLVERS = {"same, valid": "adam", "stride, groups": "sgd", "depthwise, norm": RMSprop(), "residual": AdamW()}
X, Y = pictures(50, SHAPE)


def trained(name, dtype, n_jobs, epochs=2):
    """Epochs in batches that divide neither the data nor the threads' shares."""
    clf = CNNClassifier(
        layers=NETS[name], solver=SOLVERS[name], batch_size=29, max_iter=epochs, dtype=dtype, random_state=0,
        n_jobs=n_jobs, learning_rate=OneCycle(), label_smoothing=0.1,
    )  # fmt: skip
    return fitted(X, Y, clf=clf)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETS)
def test_trainings_do_not_depend_on_threads(name, dtype):
    models = [trained(name, dtype, n) for n in (1, 2, 3)]
    for one, other in pairwise(models):
        assert weights_of(one) == weights_of(other)
        assert one.loss_curve_ == other.loss_curve_
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_default_stack_on_bytes_does_not_depend_on_threads():
    data = (np.abs(X) * 60).astype(np.uint8)
    models = [fitted(data, Y, filters=(20, 30), dropout=0.3, n_jobs=n) for n in (1, 2, 3, 7)]
    assert len({weights_of(clf) for clf in models}) == 1


SCRIPT = """
import sys
import numpy as np
from pyconvx import _ext
from test_reproducibility import NETS, X, trained
assert _ext.LEVEL == sys.argv[1]
found = {}
for name in NETS:
    for dtype in ("float32", "float64"):
        clf = trained(name, dtype, 1, epochs=1)
        found[f"{name} {dtype} weights"] = clf.network_.buffer
        found[f"{name} {dtype} statistics"] = clf.network_.state_buffer
        found[f"{name} {dtype} losses"] = np.array(clf.loss_curve_)
        found[f"{name} {dtype} outputs"] = clf.decision_function(X)
np.savez(sys.argv[2], **found)
"""


def test_levels_agree(tmp_path):
    """Equal bits with FMA; the baseline, which rounds every product, to a tolerance."""
    found = {}
    for level in LEVELS:
        path = tmp_path / f"{level}.npz"
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT, level, str(path)],
            env={**os.environ, "PYCONVX_ISA": level, "PYTHONPATH": os.path.dirname(__file__)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        found[level] = dict(np.load(path))
    for one, other in pairwise(FUSED):
        different = [key for key in found[one] if found[one][key].tobytes() != found[other][key].tobytes()]
        assert different == []
    for key, values in found["baseline"].items():
        scale = np.abs(values).max(initial=1e-30)
        rounding = 1e-2 if "float32" in key else 1e-8
        np.testing.assert_allclose(found[LEVELS[-1]][key], values, rtol=0, atol=rounding * scale, err_msg=key)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("module", ["conv", "dense", "pointwise", "pool", "training"])
def test_modules_tell_their_level(module, level):
    assert level == load(module, level).LEVEL


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_rows_outputs_do_not_depend_on_its_batch(dtype):
    for layers in (MIXED, *NETS.values()):
        flat = [] if isinstance(layers[-1], (GlobalAvgPool2D, Dense)) else [Flatten()]
        if layers is NETS["same, valid"]:
            layers = [*layers[:6], Flatten(), *layers[6:]]
        network = Network((*layers, *flat), SHAPE, dtype=dtype)
        x = X.astype(dtype)
        whole = outputs(network, x, n_threads=2)
        for rows in (slice(0, 1), slice(3, 4), slice(5, 12), slice(20, 50), slice(None, None, 5)):
            np.testing.assert_array_equal(outputs(network, np.ascontiguousarray(x[rows])), whole[rows])


def test_predictions_of_large_data_are_those_of_their_rows():
    data, y = images(1500)
    clf = fitted(data[:30], y[:30], batch_norm=True)
    whole = clf.predict_proba(data)
    np.testing.assert_array_equal(np.concatenate([clf.predict_proba(part) for part in np.split(data, 20)]), whole)
    np.testing.assert_array_equal(clf.predict_proba(data[::-1])[::-1], whole)


def test_import_leaves_subnormals_alone():
    script = (
        "import numpy as np; import pyconvx\n"
        "for tiny in (np.float32(1e-45), np.float64(5e-324)): assert (np.array([tiny]) * 1)[0] > 0\n"
        "clf = pyconvx.CNNClassifier((2,), max_iter=1).partial_fit(np.eye(4, 9), [0, 1, 0, 1], [0, 1])\n"
        "for tiny in (np.float32(1e-45), np.float64(5e-324)): assert (np.array([tiny]) / 1)[0] > 0\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_import_leaves_the_environment_alone():
    code = "import os; before = dict(os.environ); import pyconvx; assert dict(os.environ) == before"
    subprocess.run([sys.executable, "-c", code], check=True)
