"""load_image_folder: folders, lists and tables; unequal sizes, broken files, laziness."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from pyconvx import CNNClassifier, CNNRegressor
from pyconvx.datasets import LazyImages, load_image_folder

RNG = np.random.default_rng(0)


def save(path, shape=(4, 6)):
    """Write an image of noise, and return its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (*shape, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def folder(tmp_path):
    """Two classes, and much that is no image."""
    root = tmp_path / "pictures"
    pixels = {
        name: save(root / name)
        for name in ("dog/b.png", "dog/a.PNG", "dog/old/0.png", "cat/10.png", "cat/2.png", "cat/x y.png")
    }
    save(root / "beside.png")
    save(root / ".hidden" / "a.png")
    save(root / "dog" / ".thumbnails" / "a.png")
    save(root / "dog" / ".a.png")
    (root / "dog" / "Thumbs.db").write_bytes(b"1")
    (root / "dog" / "notes.txt").write_text("no image")
    (root / "empty").mkdir()
    return root, pixels


def test_a_folder_per_class(folder):
    root, pixels = folder
    data = load_image_folder(root)
    order = ["cat/10.png", "cat/2.png", "cat/x y.png", "dog/a.PNG", "dog/b.png", "dog/old/0.png"]
    assert data.filenames == [str(root / name) for name in order]
    np.testing.assert_array_equal(data.images, [pixels[name] for name in order])
    assert data.images.dtype == np.uint8
    assert data.target.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.target_names == ["cat", "dog"]
    assert data.skipped == []


def test_lists_of_paths(folder):
    root, pixels = folder
    names = ["dog/b.png", "cat/2.png", "dog/b.png"]
    paths = [root / name for name in names]
    data = load_image_folder(paths, ["wolf", "cat", "wolf"])
    np.testing.assert_array_equal(data.images, [pixels[name] for name in names])
    assert (data.target.tolist(), data.target_names) == ([1, 0, 1], ["cat", "wolf"])
    numbers = load_image_folder(np.array([str(path) for path in paths]), [0.5, 1.5, 2.5])
    assert (numbers.target.tolist(), numbers.target_names) == ([0.5, 1.5, 2.5], None)
    rows = load_image_folder(paths, np.ones((3, 2)))
    assert rows.target.shape == (3, 2)
    plain = load_image_folder(tuple(paths))
    assert plain.target is plain.target_names is None


@pytest.mark.parametrize("header", ["path,label", "Label,File", "a,b", "other,filename,target"])
@pytest.mark.parametrize("kind", ["csv", pd.DataFrame, pl.DataFrame])
def test_tables(folder, header, kind, monkeypatch):
    root, pixels = folder
    columns = header.split(",")
    rows = []
    for name, label in (("dog/b.png", "x"), ("cat/x y.png", "y"), ("cat/2.png", "x")):
        values = dict.fromkeys(("path", "file", "filename", "a"), name)
        values |= dict.fromkeys(("label", "target", "b"), label)
        rows.append([values.get(column.lower(), "other") for column in columns])
    if kind == "csv":
        table = root / "table.csv"
        table.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n\n", encoding="utf-8-sig")
    else:
        monkeypatch.chdir(root)
        table = kind({column: [row[i] for row in rows] for i, column in enumerate(columns)})
    data = load_image_folder(table)
    np.testing.assert_array_equal(data.images, [pixels[n] for n in ("dog/b.png", "cat/x y.png", "cat/2.png")])
    assert (data.target.tolist(), data.target_names) == ([0, 1, 0], ["x", "y"])


@pytest.mark.parametrize(
    ("texts", "target", "names"),
    [
        (("3", "-1"), [3, -1], None),
        (("3", "0.5"), [3.0, 0.5], None),
        (("3", "x"), [0, 1], ["3", "x"]),
        (("1_0", "1_1"), [0, 1], ["1_0", "1_1"]),
    ],
)
def test_numbers_in_a_csv_file(folder, texts, target, names):
    root, _ = folder
    (root / "t.csv").write_text(f"path,y\ncat/2.png,{texts[0]}\ncat/10.png,{texts[1]}\n")
    data = load_image_folder(root / "t.csv")
    assert (data.target.tolist(), data.target_names) == (target, names)


def test_unequal_sizes(folder):
    root, _ = folder
    save(root / "dog" / "c.png", (7, 5))
    words = r"10\.png has \(height, width\) \(4, 6\) and .*c\.png \(7, 5\): pass size=\(height, width\)"
    for lazy in (False, True):
        with pytest.raises(ValueError, match=words):
            load_image_folder(root, lazy=lazy)
        data = load_image_folder(root, size=(3, 2), resize="crop", color_mode="grayscale", lazy=lazy)
        assert data.images.shape == (7, 3, 2, 1)


def test_broken_files(folder):
    root, pixels = folder
    for name, data in (("dog/b.png", b"no image"), ("cat/10.png", (root / "cat" / "10.png").read_bytes()[:60])):
        (root / name).write_bytes(data)
    with pytest.raises(ValueError, match=r"10\.png cannot be decoded"):
        load_image_folder(root)
    with pytest.warns(UserWarning, match=r"2 of 6 files could not be read: .*10\.png, .*b\.png$") as caught:
        data = load_image_folder(root, on_error="skip")
    assert caught[0].filename == __file__
    assert data.skipped == [str(root / "cat" / "10.png"), str(root / "dog" / "b.png")]
    kept = ["cat/2.png", "cat/x y.png", "dog/a.PNG", "dog/old/0.png"]
    np.testing.assert_array_equal(data.images, [pixels[name] for name in kept])
    assert data.filenames == [str(root / name) for name in kept]
    assert data.target.tolist() == [0, 0, 1, 1]
    with pytest.warns(UserWarning, match="1 of 6"):  # headers alone: the pixels of the other are read later
        lazy = load_image_folder(root, size=(4, 6), on_error="skip", lazy=True)
    with pytest.raises(ValueError, match=r"10\.png cannot be decoded"):
        lazy.images[0]
    with pytest.warns(UserWarning, match="1 of 2"):
        assert len(load_image_folder([root / "nowhere.png", root / kept[0]], on_error="skip").images) == 1
    for lazily in (False, True):
        with pytest.raises(ValueError, match=r"none of the 1 files could be read, such as .*b\.png"):
            load_image_folder([root / "dog" / "b.png"], on_error="skip", lazy=lazily)


def test_lazy_images_are_like_the_array(folder):
    root, _ = folder
    array = load_image_folder(root).images
    lazy = load_image_folder(root, lazy=True).images
    assert isinstance(lazy, LazyImages)
    assert (lazy.shape, lazy.dtype, len(lazy)) == (array.shape, array.dtype, 6)
    assert (lazy.ndim, lazy.size) == (4, array.size)
    assert repr(lazy) == "LazyImages(shape=(6, 4, 6, 3), dtype=uint8)"
    for index in (
        0, -1, np.int64(2), slice(None), slice(1, 5, 2), slice(None, None, -1), [3, 1, 3], np.array([-1]), [],
        np.arange(6) % 2 == 0,
    ):  # fmt: skip
        index = np.array(index, int) if isinstance(index, list) and not index else index
        np.testing.assert_array_equal(lazy[index], array[index])
    np.testing.assert_array_equal(np.asarray(lazy), array)
    np.testing.assert_array_equal(np.asarray(lazy, dtype=float), array)
    np.testing.assert_array_equal(list(lazy), array)
    with pytest.raises(IndexError, match="6"):
        lazy[6]
    with pytest.raises(IndexError, match="first axis only"):
        lazy[np.zeros((2, 2), int)]
    with pytest.raises(ValueError, match="copy"):
        np.array(lazy, copy=False)


def test_files_that_change_or_go(folder):
    root, _ = folder
    lazy = load_image_folder(root, lazy=True).images
    save(root / "cat" / "10.png", (3, 3))
    with pytest.raises(ValueError, match=r"10\.png has shape \(3, 3, 3\), it had \(4, 6, 3\)"):
        lazy[0]
    (root / "cat" / "10.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"10\.png"):
        lazy[0]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimators_take_lazy_images(folder):
    root, _ = folder
    data, lazy = load_image_folder(root), load_image_folder(root, lazy=True)
    for kind in (CNNClassifier, CNNRegressor):
        models = [
            kind(filters=(4,), max_iter=2, random_state=0).fit(images, data.target)
            for images in (data.images, lazy.images)
        ]
        np.testing.assert_array_equal(models[0].network_.buffer, models[1].network_.buffer)
        np.testing.assert_array_equal(models[0].predict(data.images), models[1].predict(lazy.images))


def test_progress(folder, capsys):
    load_image_folder(folder[0])
    assert capsys.readouterr().out == ""
    load_image_folder(folder[0], verbose=True)
    assert capsys.readouterr().out == "6 of 6 images\n"


def test_what_is_refused(folder):
    root, _ = folder
    path = root / "cat" / "2.png"
    (root / "empty.csv").write_text("")
    (root / "ragged.csv").write_text("path,label\ncat/2.png\n")
    (root / "labels.csv").write_text("label,other\n1,2\n")
    (root / "none.csv").write_text("path,label\n")
    for call, kind, words in (
        (lambda: load_image_folder(root / "nowhere"), FileNotFoundError, "nowhere is no folder"),
        (lambda: load_image_folder(path), NotADirectoryError, r"2\.png is no folder"),
        (lambda: load_image_folder(root / "cat"), ValueError, "cat has no folder with images in it"),
        (lambda: load_image_folder(root / "empty.csv"), ValueError, r"empty\.csv is empty"),
        (lambda: load_image_folder(root / "ragged.csv"), ValueError, "row 2 has 1 columns, the first has 2"),
        (lambda: load_image_folder(root / "labels.csv"), ValueError, "has no column of paths"),
        (lambda: load_image_folder(root / "none.csv"), ValueError, "there are no paths"),
        (lambda: load_image_folder([]), ValueError, "there are no paths"),
        (lambda: load_image_folder([path], [1, 2]), ValueError, r"1 paths and labels of shape \(2,\)"),
        (lambda: load_image_folder([path], [None]), ValueError, "labels must be all text, or all numbers"),
        (lambda: load_image_folder([path, 3]), TypeError, "paths must be text or path-like, got 3 at 1"),
        (lambda: load_image_folder(root, ["x"]), ValueError, "labels belong to a list of paths"),
        (lambda: load_image_folder(pd.DataFrame({"a": [path]}), ["x"]), ValueError, "got a data frame"),
        (lambda: load_image_folder(root, on_error="ignore"), ValueError, "on_error must be raise or skip, got"),
        (lambda: load_image_folder(root, lazy=1), TypeError, "lazy must be a bool, got 1"),
    ):
        with pytest.raises(kind, match=words) as caught:
            call()
        assert not re.search("None", str(caught.value))
