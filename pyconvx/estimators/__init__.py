"""Estimators: scikit-learn's contract around networks and training; no mathematics.

    classifier    CNNClassifier
    _base         what it shares with other estimators to come: data in, network, outputs in batches
    _parameters   which constructor parameters are legal
    _stack        layers, solver and schedule from constructor parameters
    _images       X as images
    _targets      y, sample weights, validation data
    _callbacks    scikit-learn's callbacks, or nothing where it has none yet
"""

from pyconvx.estimators.classifier import CNNClassifier

__all__ = ["CNNClassifier"]
