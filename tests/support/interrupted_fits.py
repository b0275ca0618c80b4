"""Fits that Ctrl-C ends at random moments; run as a script it prints how it went.

    python tests/support/interrupted_fits.py INTERRUPTS

The signal comes while fit runs, wherever that is; every second time it comes again within a millisecond. What
is left must be an estimator with the weights, the curves and the counters of a whole number of epochs, those of
a fit that nobody disturbed, which predicts and goes on; or, before the first epoch, one that is not fitted.
"""

import random
import signal
import sys
import time
import warnings
from collections import Counter

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from small import images, quick, weights_of

SETTINGS = {
    "max_iter": 8, "n_iter_no_change": 8, "tol": 0.0, "dropout": 0.2, "batch_norm": True, "batch_size": 8,
    "solver": "adamw", "warm_start": True,
}  # fmt: skip
X, Y = images(n=60)


def record(clf):
    """Return everything that has to belong to the same number of epochs."""
    curves = clf.loss_curve_, clf.validation_scores_, clf.n_iter_, clf.t_, clf.best_loss_, clf.loss_
    state = clf._state
    counters = state.epoch, state.step, state.samples_seen, state.no_improvement, state.slots.tobytes()
    return weights_of(clf), curves, counters


def undisturbed():
    """Return the record after each number of epochs, from none to all."""
    records = []
    for epochs in range(1, SETTINGS["max_iter"] + 1):
        records.append(record(fit(quick(**SETTINGS | {"max_iter": epochs}))))
    return records


def fit(clf):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return clf.fit(X, Y, X_val=X, y_val=Y)


def interrupted_after(seconds, again, clf):
    """Return whether a signal came before fit returned; a second one follows after `again` seconds if not 0."""
    moments, came = [again, 0], []

    def handler(*_):
        came.append(True)
        signal.setitimer(signal.ITIMER_REAL, moments.pop(0))
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, handler)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            fit(clf)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
    except KeyboardInterrupt:
        assert came
    return bool(came)


def main(interrupts):
    started = time.perf_counter()
    whole = undisturbed()
    usual = (time.perf_counter() - started) / (len(whole) / 2 + 0.5)
    chance, reached = random.Random(0), Counter()
    while interrupts:
        clf = quick(**SETTINGS)
        if not interrupted_after(chance.uniform(0, usual), interrupts % 2 * chance.uniform(1e-6, 1e-3), clf):
            reached["ended"] += 1
            continue
        interrupts -= 1
        if not hasattr(clf, "network_"):
            reached["not fitted"] += 1
            fit(clf)
            assert record(clf) == whole[-1]
            continue
        epochs = clf.n_iter_
        reached[epochs] += 1
        if epochs:
            assert record(clf) == whole[epochs - 1], f"after {epochs} epochs"
        else:
            assert clf._state.epoch == clf._state.step == 0
            assert not clf._state.slots.any()
        assert np.isfinite(clf.predict_proba(X)).all()
        if epochs < SETTINGS["max_iter"]:
            fit(clf.set_params(max_iter=SETTINGS["max_iter"] - epochs))
        assert weights_of(clf) == whole[-1][0]
    print("done", dict(sorted(reached.items(), key=str)))
    assert len(reached) > 3, "the signals came at too few places"


if __name__ == "__main__":
    main(int(sys.argv[1]))
