"""What plugins may return: any memory, any strides; the numbers are those of a plugin that returns new arrays."""

import pickle
import threading
from dataclasses import dataclass

import numpy as np
import pytest
from good_plugins import Scale, Tanh
from small import fitted, images, quick, weights_of

from pyconvx import PluginError, activations
from pyconvx.layers import Activation, Conv2D, Layer, MaxPool2D, Residual

X, Y = images(dtype=np.float32)


def read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view


FORMS = {
    "Fortran order": np.asfortranarray,
    "every second": lambda y: np.repeat(y, 2, axis=-1)[..., ::2],
    "backwards": lambda y: np.ascontiguousarray(y[..., ::-1])[..., ::-1],
    "read-only": read_only,
    "subclass": lambda y: y.view(np.memmap),
}


def with_form(good, form):
    """A plugin whose results come in another form."""
    make = FORMS[form]

    class Formed(good):
        def forward(self, *arguments):
            found = super().forward(*arguments)
            return (make(found[0]), found[1]) if isinstance(found, tuple) else make(found)

        def backward(self, *arguments):
            found = super().backward(*arguments)
            return None if found is None else make(found)

    return Formed()


def stack(layer):
    """Layers with this one between compiled ones, whose backward works in place."""
    return [Conv2D(4, padding="same"), Activation("relu"), layer, Conv2D(3), Activation("silu"), layer]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", ["activation", "layer"])
def test_results_of_any_form(family, form):
    good = Tanh if family == "activation" else Scale
    made = [Activation(p) if family == "activation" else p for p in (good(), with_form(good, form))]
    one, other = (fitted(X, Y, layers=stack(layer), batch_size=10, max_iter=3) for layer in made)
    assert weights_of(one) == weights_of(other)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    assert type(one.feature_maps(X, -1)) is np.ndarray


class Hoarder(Tanh):
    """It hands out the same array again and again, to two places of a network too."""

    def __init__(self):
        object.__setattr__(self, "memory", {})

    def _own(self, what, values):
        array = self.memory.setdefault((what, values.shape), np.empty_like(values))
        array[...] = values
        return array

    def forward(self, x):
        return self._own("y", super().forward(x))

    def backward(self, dy, x, y):
        return self._own("dx", super().backward(dy, x, y))


def test_an_activation_that_reuses_its_memory():
    def layers(function):
        twice = [Activation(function), Conv2D(4, padding="same")] * 2
        return [Conv2D(4, padding="same"), *twice, Residual((Activation(function),)), Activation("relu")]

    one, other = (fitted(X, Y, layers=layers(f), batch_size=10, max_iter=3) for f in (Tanh(), Hoarder()))
    assert weights_of(one) == weights_of(other)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


class Locked(Tanh):
    """An object that cannot be pickled."""

    def __init__(self):
        object.__setattr__(self, "lock", threading.Lock())

    def forward(self, x):
        with self.lock:
            return super().forward(x)


def test_an_object_that_cannot_be_pickled(tmp_path):
    clf = fitted(X, Y, activation=Locked())
    expected = fitted(X, Y, activation=Tanh()).predict_proba(X)
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(clf)
    with pytest.raises(TypeError, match="activation"):
        clf.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    activations.registry.register("tests_locked", Locked)
    by_name = fitted(X, Y, activation="tests_locked")  # a name travels, the object does not
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(by_name)).predict_proba(X), expected)


@dataclass(frozen=True)
class Through:
    """Returns its input, as an activation."""

    def forward(self, x):
        return x

    def backward(self, dy, x, y):
        return dy


@dataclass(frozen=True)
class Passing(Layer):
    """Returns its input, as a layer."""

    def output_shape(self, input_shape):
        return input_shape

    def forward(self, x, params, context):
        return x, None

    def backward(self, dy, cache, params, grads, context):
        return dy


@pytest.mark.parametrize("layer", [Activation(Through()), Passing()])
def test_a_plugin_may_return_its_input(layer):
    def layers(middle):
        residual = Residual((Conv2D(4, padding="same"), middle, Activation("silu")), (middle, Conv2D(4, 1)))
        return [Conv2D(4), Activation("relu"), middle, MaxPool2D(2), middle, residual, middle]

    settings = {"batch_size": 10, "initializer": "he_uniform"}
    one, other = (fitted(X, Y, layers=layers(m), **settings) for m in (Activation("identity"), layer))
    assert weights_of(one) == weights_of(other)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


class Subclassed(Conv2D):
    """A convolution by another name: still fused with its activation, and recorded."""


def test_a_subclass_of_a_built_in_layer_stays_as_it_was():
    def layers(kind):
        return [
            kind(4, padding="same"),
            Activation("gelu"),
            Residual((kind(4, padding="same"), Activation("relu"))),
        ]

    one, other = (fitted(X, Y, layers=layers(kind), batch_size=10) for kind in (Conv2D, Subclassed))
    np.testing.assert_array_equal(
        other.network_.parameters["subclassed_1.kernel"].shape, one.network_.parameters["conv2d_1.kernel"].shape
    )
    other.network_.buffer[:], other.network_.state_buffer[:] = one.network_.buffer, one.network_.state_buffer
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    assert next(map(str, other.network_.steps)) == "subclassed_1 + activation_1"
    before = weights_of(other)
    assert weights_of(fitted(X, Y, clf=other.set_params(warm_start=True))) != before


class Failing(Conv2D):
    """It fails in predictions: with its own words, or when what it asks for runs."""

    when = "never"

    def takes(self, epilogue):
        return True

    def forward(self, x, params, context, *epilogue):
        if self.when == "called":
            raise RuntimeError("boom")
        if self.when == "running":
            context.run(lambda: 1 / 0)
        return super().forward(x, params, context, *epilogue)


@pytest.mark.parametrize("activation", [(), (Activation("relu"),)])
def test_a_program_that_fails(activation, monkeypatch):
    clf = fitted(X, Y, layers=[Residual((Failing(1, padding="same"), *activation))])
    expected = clf.predict_proba(X)
    for when, words in (
        ("called", "forward raised RuntimeError: boom"),
        ("running", "forward raised ZeroDivisionError"),
    ):
        monkeypatch.setattr(Failing, "when", when)
        with pytest.raises(PluginError, match=rf"Failing at 'residual_1\.failing_1': .*{words}"):
            clf.predict(X)
    monkeypatch.undo()
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


class Fails(Passing):
    """Fails in training, or outside it."""

    training = None

    def forward(self, x, params, context):
        if context.training is self.training:
            raise RuntimeError("boom")
        return x, None


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("inner", [Fails(), Activation(Tanh())])
def test_the_place_inside_of_blocks(training, inner, monkeypatch):
    def boom(self, x):
        raise RuntimeError("boom")

    for path, block in {"": ((inner,), ()), "skip.": ((Conv2D(1, 1),), (inner,))}.items():
        layers = [Conv2D(1, padding="same"), Residual((Residual(*block),))]
        clf = quick(layers=layers)
        clf = clf if training else fitted(X, Y, clf=clf)
        with monkeypatch.context() as patch:
            patch.setattr(Fails, "training", training)
            patch.setattr(Tanh, "forward", boom)
            with pytest.raises(
                PluginError, match=rf"at 'residual_1\.residual_1\.{path}(fails|activation)_1': forward"
            ):
                clf.fit(X, Y) if training else clf.predict(X)
