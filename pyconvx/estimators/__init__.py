"""Estimators: scikit-learn's contract around networks and training; no mathematics.

classifier    CNNClassifier
regressor     CNNRegressor
image_scaler  ImageScaler
transformer   CNNTransformer
predictor     CompiledPredictor
loading       load
checkpoint    Checkpoint: a fit that goes on where it was cut off
base          BaseCNN: what every estimator around a network is, built up in steps:
fitted          the network, data in, outputs, a file of it
inspected       the output of any layer, the table of layers
fitting         how the network is trained
targets/      one object per kind of y: classes, indicators, values
parameters/   the constructor's common parameters
declaration   how parameters are declared
constraints   rules of parameters, in scikit-learn's words
default_stack the layers that follow the input
budget        batches and epochs that follow the number of rows
architecture  layers, solver and schedule from constructor parameters
nested        parameters of parameters, such as loss__delta
samples       X as images or signals
notices       warnings about what is legal but hardly meant
transfer      weights that a new network takes over
scoring       how validation data are scored
examples      checked data: rows to train on, or to score after each epoch
saving        what an estimator keeps in a file
callbacks     scikit-learn's callbacks, or nothing if it has none yet
"""

from pyconvx.estimators.checkpoint import Checkpoint
from pyconvx.estimators.classifier import CNNClassifier
from pyconvx.estimators.image_scaler import ImageScaler
from pyconvx.estimators.loading import load
from pyconvx.estimators.regressor import CNNRegressor
from pyconvx.estimators.transformer import CNNTransformer

__all__ = ["CNNClassifier", "CNNRegressor", "CNNTransformer", "Checkpoint", "ImageScaler", "load"]
