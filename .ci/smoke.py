"""An installed pyconvx without test tools: import, a small fit, a pickle, plugins of every family."""

import importlib.util
import pickle
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

import pyconvx
from pyconvx import activations, architectures, initializers, losses, schedules, solvers

assert importlib.util.find_spec("tests") is None
assert importlib.util.find_spec("pytest") is None
X, y = load_digits(return_X_y=True)
clf = pyconvx.CNNClassifier((8, 16), image_shape=(8, 8), max_iter=10, random_state=0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    clf.fit(X[:1200] / 16, y[:1200])
accuracy = clf.score(X[1200:] / 16, y[1200:])
assert accuracy > 0.85, accuracy
assert np.array_equal(pickle.loads(pickle.dumps(clf)).predict(X / 16), clf.predict(X / 16))
for family in (activations, architectures, initializers, losses, schedules, solvers):
    assert family.registry.names()
print(f"pyconvx {pyconvx.__version__} from {pyconvx.__path__[0]}: accuracy {accuracy:.3f}")
