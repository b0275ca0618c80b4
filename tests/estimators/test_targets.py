"""What an estimator predicts, by itself: classes, numbers and weights, checked, encoded, held out and decoded."""

import numpy as np
import pytest
from small import images, quick

from pyconvx import CNNRegressor
from pyconvx.estimators.targets import ClassTargets, RealTargets, check_weights
from pyconvx.estimators.targets.classes import are_classes, with_class_weight
from pyconvx.estimators.targets.values import is_target_shape
from pyconvx.losses import CrossEntropy, SquaredError

X, Y = images(n=6)


def test_labels():
    clf = quick()
    assert ClassTargets.check(clf, X, list(Y)).tolist() == Y.tolist()
    assert ClassTargets.check(clf, X, np.array(list("abcabc"))).tolist() == list("abcabc")
    refused = {
        "This CNNClassifier estimator requires y to be passed, but the target y is None": None,
        "inconsistent numbers of samples": Y[:-1],
        "Input y contains NaN": [np.nan] * 6,
        "Unknown label type: continuous": Y + 0.5,
        "y should be a 1d array": np.eye(6),
    }
    for words, labels in refused.items():
        with pytest.raises(ValueError, match=words):
            ClassTargets.check(clf, X, labels)
    with pytest.warns(Warning, match="column-vector y"):
        assert ClassTargets.check(clf, X, Y[:, None]).shape == (6,)
    with pytest.raises(TypeError, match=r"^labels must be uniformly strings or numbers, got \['int', 'str'\]"):
        ClassTargets.check(clf, X, np.array([1, "a"] * 3, object))


def test_codes():
    targets = ClassTargets(np.array(["b", "c", "d"]))
    codes = targets.encode(np.array(["d", "b", "d"]), np.float32)
    assert (codes.tolist(), codes.dtype) == ([2, 0, 2], np.int64)
    with pytest.raises(
        ValueError, match=r"^`y` has classes not in `self\.classes_`\. Unknown: \['a'\], known: \['b'"
    ):
        targets.encode(np.array(["a", "b"]), np.float32)
    with pytest.raises(ValueError, match=r"^`y_val` has classes not in"):
        targets.encode(np.array(["a", "b"]), np.float32, "y_val")


def test_weights():
    assert check_weights(None, 3).tolist() == [1.0, 1.0, 1.0]
    assert check_weights(2, 3).tolist() == [2.0, 2.0, 2.0]
    got = check_weights(np.array([0, 1, 2], np.float32), 3)
    assert (got.tolist(), got.dtype) == ([0.0, 1.0, 2.0], np.float64)
    refused = {
        r"^w\.shape == \(2,\), expected \(3,\)!": [1, 2],
        r"^Input w contains NaN or infinity\.": [1, 2, np.inf],
        r"^w must not contain a negative weight, the smallest is -2\.0": [1, -1, -2],
        r"^w must contain at least one non-zero weight": [0, 0, 0],
    }
    for words, weights in refused.items():
        with pytest.raises(ValueError, match=words):
            check_weights(weights, 3, "w")
    with pytest.raises(ValueError, match=r"^sample_weight must contain"):
        check_weights([0, 0, 0], 3)


def test_weights_of_classes():
    labels, classes = np.array([0, 0, 0, 1]), np.array([0, 1])
    assert with_class_weight([1, 2, 3, 4], None, labels, classes).tolist() == [1, 2, 3, 4]
    assert with_class_weight([1, 2, 3, 4], {0: 2, 1: 3}, labels, classes).tolist() == [2, 4, 6, 12]
    np.testing.assert_allclose(with_class_weight(None, "balanced", labels, classes), [2 / 3, 2 / 3, 2 / 3, 2])
    with pytest.raises(ValueError, match=r"^class_weight must contain at least one"):
        with_class_weight(None, {0: 0, 1: 0}, labels, classes)
    with pytest.raises(ValueError, match=r"^sample_weight \* class_weight must contain at least one"):
        with_class_weight([1, 1, 1, 0], {0: 0, 1: 1}, labels, classes)
    with pytest.raises(ValueError, match=r"^sample_weight\.shape == \(3,\), expected \(4,\)!"):
        with_class_weight([1, 1, 1], {0: 0, 1: 1}, labels, classes)


@pytest.mark.parametrize(
    ("class_weight", "labels", "weights"),
    [
        ({"0": 2.0, "1": 3.0}, ["0", "1", "0"], [2, 3, 2]),
        ({"0": 2.0}, ["0", "1", "0"], [2, 1, 2]),
        ({1.5: 2.0}, [1.5, 1.25, 1.5], [2, 1, 2]),
        ({1: 2.0}, [1.0, 0.0, 1.0], [2, 1, 2]),
        ({True: 2.0}, [True, False, True], [2, 1, 2]),
        ({np.int64(7): 2.0, 8: 1.0}, [7, 8, 7], [2, 1, 2]),
        ({7: 2.0, 8: 3.0, 9: 4.0}, [7, 8, 7], [2, 3, 2]),
        ({}, [7, 8, 7], [1, 1, 1]),
    ],
)
def test_class_weights_of_labels_of_any_kind(class_weight, labels, weights):
    labels = np.array(labels)
    for given in (labels, labels.astype(object)):
        assert with_class_weight(None, class_weight, given, np.unique(given)).tolist() == weights


def test_class_weights_for_a_batch_without_some_class():
    clf = quick(class_weight={0: 3.0, 2: 2.0}).partial_fit(X, Y % 2, classes=range(3))
    assert clf.classes_.tolist() == [0, 1, 2]
    words = r"^The classes, \[1\], are not in class_weight, which has entries for what is no class: \['2'\]$"
    with pytest.raises(ValueError, match=words):
        quick(class_weight={0: 3.0, "2": 2.0}).fit(X, Y % 2)


def test_rows_held_out():
    codes = np.arange(40) % 2
    index = np.arange(3, 39)
    targets = ClassTargets(np.arange(2))
    train, held = targets.hold_out(codes, index, 1 / 3, 2**32 + 5)
    assert np.array_equal(np.sort(np.concatenate([train, held])), index)
    assert (np.bincount(codes[held]).tolist(), len(train)) == ([6, 6], 24)
    assert np.array_equal(train, np.sort(train))
    assert np.array_equal(held, np.sort(held))
    same, *others = (targets.hold_out(codes, index, 1 / 3, seed)[1] for seed in (5, 6, 7))
    assert np.array_equal(same, held)
    for other in others:
        assert np.bincount(codes[other]).tolist() == [6, 6]
        assert not np.array_equal(other, held)


def test_classes_as_targets():
    targets = ClassTargets.learn(np.array(["b", "a", "b"]))
    assert (targets.n_outputs, str(targets), targets.shown()) == (2, "2 classes", "['a' 'b']")
    assert targets.fitted().keys() == targets.attributes.keys() == {"classes_", "multilabel_"}
    assert targets.decode(np.array([[1.0, 2.0], [3.0, 0.0]]), CrossEntropy()).tolist() == ["b", "a"]
    probabilities = np.ones((2, 2))
    assert targets.present(probabilities) is probabilities
    assert targets.same_as(ClassTargets(np.array(["a", "b"])))
    assert not targets.same_as(ClassTargets(np.array(["a", "c"])))
    assert not targets.same_as(ClassTargets(np.array(["a", "b", "c"])))


def test_what_may_be_classes():
    good = (np.array([1]), np.array([1, 2]), np.array(["a", "b"]))
    bad = (np.array([]), np.array([2, 1]), np.array([1, 1]), np.array([[1]]), [1, 2], None)
    assert [are_classes(value) for value in (*good, *bad)] == [True] * len(good) + [False] * len(bad)


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_numbers_as_targets(shape):
    y = np.arange(6 * int(np.prod(shape)), dtype=float).reshape(6, *shape)
    targets = RealTargets.learn(y)
    outputs = int(np.prod(shape))
    assert (targets.shape, targets.n_outputs, str(targets)) == (shape, outputs, f"{outputs} outputs")
    assert targets.fitted() == {"target_shape_": shape}
    encoded = targets.encode(y, np.float32)
    assert (encoded.shape, encoded.dtype) == ((6, outputs), np.float32)
    np.testing.assert_array_equal(targets.decode(encoded, SquaredError()), y)
    assert targets.present(encoded).shape == y.shape
    assert targets.same_as(RealTargets(shape))
    assert not targets.same_as(RealTargets((7,)))


def test_numbers_that_cannot_be_encoded():
    with pytest.raises(ValueError, match=r"^z has targets of shape \(2,\), expected \(\)"):
        RealTargets(()).encode(np.ones((3, 2)), np.float32, "z")
    with pytest.raises(
        ValueError, match=r"^Input z contains infinity or a value too large for dtype\('float32'\)"
    ):
        RealTargets(()).encode(np.array([1e300]), np.float32, "z")
    assert RealTargets(()).encode(np.array([1e300]), np.float64).tolist() == [[1e300]]


def test_numbers_are_checked():
    reg = CNNRegressor()
    for y in ([1, 2, 3, 4, 5, 6], [[1.0]] * 6, np.ones(6, bool), np.ones(6, np.float16)):
        assert RealTargets.check(reg, X, y).shape == np.shape(y)
    with pytest.raises(ValueError, match="This CNNRegressor estimator requires y to be passed"):
        RealTargets.check(reg, X, None)
    with pytest.raises(ValueError, match="y_val must hold real numbers, got datetime64"):
        RealTargets.check(reg, X, np.zeros(6, "M8[s]"), "y_val")
    with pytest.raises(ValueError, match="Input y_val contains NaN"):
        RealTargets.check(reg, X, np.full(6, np.nan), "y_val")


def test_what_may_be_a_shape_of_targets():
    good = ((), (1,), (5,))
    bad = ((0,), (1, 2), [1], None, 1, (1.0,), (True,), ("a",))
    assert [is_target_shape(value) for value in (*good, *bad)] == [True] * len(good) + [False] * len(bad)


def test_numbers_held_out():
    encoded, index = np.zeros((40, 1)), np.arange(3, 39)
    targets = RealTargets(())
    train, held_out = targets.hold_out(encoded, index, 1 / 3, 2**32 + 5)
    assert np.array_equal(np.sort(np.concatenate([train, held_out])), index)
    assert (len(train), len(held_out)) == (24, 12)
    for rows in (train, held_out):
        assert np.array_equal(rows, np.sort(rows))
    assert np.array_equal(targets.hold_out(encoded, index, 1 / 3, 5)[1], held_out)
    assert not np.array_equal(targets.hold_out(encoded, index, 1 / 3, 6)[1], held_out)
    assert len(targets.hold_out(encoded, index, 2 / 36, 0)[1]) == 2
    with pytest.raises(ValueError, match="would validate on one of 36 rows"):
        targets.hold_out(encoded, index, 1 / 36, 0)
