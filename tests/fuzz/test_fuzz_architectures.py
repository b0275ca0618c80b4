"""Architectures with arbitrary parameters and inputs: layers that fit together, or a refusal that says why."""

import pickle

from fuzz_layers import expected_shapes
from fuzzing import fuzz, int_fault, odd, outcome, real_fault, real_numbers
from hypothesis import strategies as st

from pyconvx import architectures

COUNT = odd(st.integers(1, 40))
COUNTS = st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple)
# name -> parameters that may be illegal, parameters that are legal
PARAMETERS = {
    "AllConv224": {},
    "Digits": {"units": COUNT},
    "FCN1D": {"width": COUNT},
    "InceptionSmall": {},
    "InceptionTime": {"depth": odd(st.integers(1, 7)), "kernel_sizes": COUNTS, "filters": st.integers(1, 5)},
    "Letters": {},
    "MobileNetSmall": {"alpha": real_numbers},
    "ResNet": {"depth": odd(st.integers(8, 27)), "width": COUNT},
    "ResNet18": {"width": COUNT},
    "ResNet1D": {"width": COUNT},
    "VGGSmall": {"filters": COUNTS, "units": COUNT},
}
LEAST = {"depth": {"ResNet": 8}}
SHAPES = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4)),
    st.tuples(st.integers(1, 60), st.integers(1, 4)),
    st.tuples(st.integers(1, 9)),
)


@st.composite
def cases(draw):
    """Draw the name of a class and its parameters."""
    name = draw(st.sampled_from(sorted(PARAMETERS)))
    return name, {key: draw(strategy) for key, strategy in PARAMETERS[name].items()}


def faults_of(name, values):
    """What a refusal of the parameters may say."""
    faults = []
    for key in {"units", "width", "depth"} & values.keys():
        faults += int_fault(key, values[key], LEAST.get(key, {}).get(name, 1))
    if "alpha" in values:
        faults += real_fault("alpha", values["alpha"], above=0, below=100)
    if name == "ResNet" and not faults and int(values["depth"]) % 6 != 2:
        faults.append(("depth", "6 n + 2"))
    return faults


@fuzz(*(f"architectures.{name}" for name in PARAMETERS), weight=3, case=cases(), shape=SHAPES)
def test_architectures(case, shape):
    name, values = case
    made = getattr(architectures, name)(**values)
    assert values.items() <= made.get_params().items()
    axes = len(made.made_for)
    faults = faults_of(name, values)
    if len(shape) != axes:
        outcome(lambda: made.layers(shape), [(name, str(shape))])
        return
    if faults:
        outcome(lambda: made.layers(shape), faults)
        return
    stack = made._stack(shape)
    shapes = expected_shapes(stack, shape)
    fits = len(shapes) == len(stack)
    layers = outcome(lambda: made.layers(shape), [] if fits else [(str(made.made_for), str(shape))])
    if layers is not None:
        assert pickle.loads(pickle.dumps(made)).layers(shape) == layers == tuple(stack)
        assert len(shapes[-1]) == 1
