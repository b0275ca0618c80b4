"""Estimators: scikit-learn's contract around networks and training; no mathematics.

classifier    CNNClassifier
image_scaler  ImageScaler
predictor     CompiledPredictor
loading       load
checkpoint    Checkpoint: a fit that goes on where it was cut off
_base         what it shares with other estimators to come: data in, network, outputs in batches
_predictions  what a fitted classifier gives: labels, probabilities, a file of itself
_training     how the network is trained
_parameters   tests of constructor parameters, in scikit-learn's words
_rules        which tests CNNClassifier's parameters have to pass
_stack        layers, solver and schedule from constructor parameters
_images       X as images
_targets      y, sample weights, validation data
_saving       what a classifier keeps in a file
_callbacks    scikit-learn's callbacks, or nothing where it has none yet
"""

from pyconvx.estimators.checkpoint import Checkpoint
from pyconvx.estimators.classifier import CNNClassifier
from pyconvx.estimators.image_scaler import ImageScaler
from pyconvx.estimators.loading import load

__all__ = ["CNNClassifier", "Checkpoint", "ImageScaler", "load"]
