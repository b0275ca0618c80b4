"""Data sets: files in, arrays out. Nothing here knows of networks or estimators.

image_folder  load_image_folder: one folder per class, or a table of paths and labels
lazy_images   LazyImages: images that are read when they are indexed
reader        ImageReader: a transformer from paths to images, for pipelines
decoding      one file as an array: rotation, colours, size
listing       which files there are, and their labels
idx           load_idx: the format of MNIST
npz           load_npz: NumPy's archives
published     load_fashion_mnist, load_cifar10: from a folder, or downloaded
optional      packages that are imported when they are needed

Images need Pillow and downloads need pooch: ``pip install "pyconvx[images]"``, ``pip install "pyconvx[files]"``.
"""

from pyconvx.datasets.idx import load_idx
from pyconvx.datasets.image_folder import load_image_folder
from pyconvx.datasets.lazy_images import LazyImages
from pyconvx.datasets.npz import load_npz
from pyconvx.datasets.published import load_cifar10, load_fashion_mnist
from pyconvx.datasets.reader import ImageReader

__all__ = [
    "ImageReader",
    "LazyImages",
    "load_cifar10",
    "load_fashion_mnist",
    "load_idx",
    "load_image_folder",
    "load_npz",
]
