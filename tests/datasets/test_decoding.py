"""Kinds of image files: colours, depth, transparency, rotation, animation, size, damage."""

import numpy as np
import pytest
from PIL import Image

from pyconvx.datasets.decoding import Decoder

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (4, 6), np.uint8)
COLOURS = RNG.integers(0, 256, (4, 6, 3), np.uint8)


def read(path, size=None, resize="stretch", color_mode="rgb"):
    """Return the array of a file, whose shape the header has to tell."""
    decoder = Decoder.of(size, resize, color_mode)
    array = decoder.read(path)
    assert decoder.shape_of(path) == array.shape
    assert array.dtype == decoder.dtype
    return array


def grey(colours):
    """Return the luma of ITU-R 601-2, in 16 bits of fraction, as Pillow rounds it."""
    r, g, b = np.moveaxis(colours.astype(np.int64), -1, 0)
    return ((19595 * r + 38470 * g + 7471 * b + (1 << 15)) >> 16).astype(np.uint8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.png"


def test_rgb_and_grey(path):
    Image.fromarray(COLOURS).save(path)
    np.testing.assert_array_equal(read(path), COLOURS)
    np.testing.assert_array_equal(read(path, color_mode="grayscale")[..., 0], grey(COLOURS))
    Image.fromarray(GREY).save(path)
    np.testing.assert_array_equal(read(path), np.repeat(GREY[..., None], 3, axis=2))
    np.testing.assert_array_equal(read(path, color_mode="grayscale")[..., 0], GREY)
    np.testing.assert_array_equal(read(path, color_mode="grayscale16")[..., 0], GREY.astype(np.uint16) * 257)


def test_16_bits(path):
    deep = RNG.integers(0, 65536, (4, 6)).astype(np.uint16)
    deep[0, :2] = 0, 65535
    Image.fromarray(deep).save(path)
    np.testing.assert_array_equal(read(path, color_mode="grayscale16")[..., 0], deep)
    scaled = np.round(deep / 257).astype(np.uint8)
    np.testing.assert_array_equal(read(path, color_mode="grayscale")[..., 0], scaled)
    np.testing.assert_array_equal(read(path)[..., 1], scaled)
    Image.fromarray(deep.astype(np.int32)).save(path.with_suffix(".tif"))
    np.testing.assert_array_equal(read(path.with_suffix(".tif"), color_mode="grayscale16")[..., 0], deep)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (np.full((2, 2), 70000, np.int32), "from 70000 to 70000, not from 0 to 65535"),
        (np.full((2, 2), -1, np.int32), "from -1 to -1"),
        (np.zeros((2, 2), np.float32), "holds floats"),
    ],
)
def test_numbers_without_a_known_range(numbers, words, tmp_path):
    Image.fromarray(numbers).save(tmp_path / "image.tif")
    with pytest.raises(ValueError, match=f"image.tif cannot be decoded: .*{words}"):
        read(tmp_path / "image.tif")


def test_transparent_pixels_lie_on_white(path):
    alpha = RNG.integers(0, 256, (4, 6), np.uint8)
    alpha[0, :2] = 0, 255
    Image.fromarray(np.dstack([COLOURS, alpha])).save(path)
    share = alpha[..., None] / 255
    expected = COLOURS * share + 255 * (1 - share)
    assert np.abs(read(path) - expected).max() <= 1
    assert (read(path)[0, 0] == 255).all()
    assert (read(path)[0, 1] == COLOURS[0, 1]).all()
    Image.fromarray(np.dstack([GREY, alpha])).save(path)
    expected = GREY * share[..., 0] + 255 * (1 - share[..., 0])
    assert np.abs(read(path, color_mode="grayscale")[..., 0] - expected).max() <= 1


def test_palettes(path):
    image = Image.fromarray((GREY % 4).astype(np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 1, 2, 3] + [0] * 756)
    image.putdata((GREY % 4).reshape(-1).tolist())
    image.save(path)
    table = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90], [1, 2, 3]], np.uint8)
    np.testing.assert_array_equal(read(path), table[GREY % 4])
    np.testing.assert_array_equal(read(path, color_mode="grayscale")[..., 0], grey(table[GREY % 4]))
    image.save(path, transparency=2)
    table[2] = 255
    np.testing.assert_array_equal(read(path), table[GREY % 4])


def test_single_bits(path):
    Image.fromarray(GREY > 127).save(path)
    np.testing.assert_array_equal(read(path, color_mode="grayscale")[..., 0], np.where(GREY > 127, 255, 0))
    assert read(path, color_mode="grayscale16").max() == 65535


def test_cmyk(tmp_path):
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[:, :, 0] = 255  # cyan
    Image.frombytes("CMYK", (8, 8), ink.tobytes()).save(tmp_path / "image.tif")
    np.testing.assert_array_equal(read(tmp_path / "image.tif"), np.broadcast_to([0, 255, 255], (8, 8, 3)))
    Image.frombytes("CMYK", (8, 8), ink.tobytes()).save(tmp_path / "image.jpg", quality=100)
    assert np.abs(read(tmp_path / "image.jpg").astype(int) - [0, 255, 255]).max() <= 3


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (5, 3), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    frames[0].save(tmp_path / "image.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read(tmp_path / "image.gif"), np.broadcast_to([255, 0, 0], (3, 5, 3)))


TURNS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_rotation_of_a_camera(orientation, path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOURS).save(path, exif=exif)
    np.testing.assert_array_equal(read(path), TURNS[orientation](COLOURS))


def test_sizes(path):
    blocks = np.zeros((4, 8, 3), np.uint8)
    blocks[:, :4, 0] = 200  # red on the left, black on the right
    Image.fromarray(blocks).save(path)
    stretched = read(path, (4, 4))
    assert stretched.shape == (4, 4, 3)
    assert (stretched[:, 0, 0] == 200).all()
    assert (stretched[:, 3] == 0).all()
    cropped = read(path, (4, 4), "crop")
    np.testing.assert_array_equal(cropped, blocks[:, 2:6])
    padded = read(path, (8, 8), "pad")
    np.testing.assert_array_equal(padded[2:6], blocks)
    assert padded[:2].max() == padded[6:].max() == 0
    assert read(path, 2).shape == (2, 2, 3)
    assert read(path, [3, 5]).shape == (3, 5, 3)


def test_smaller_images_are_averages(path):
    rows = np.tile(np.array([[0, 254]], np.uint8), (16, 8))
    Image.fromarray(rows).save(path)
    small = read(path, 4, color_mode="grayscale")[1:3, 1:3]
    assert np.abs(small.astype(int) - 127).max() <= 20
    deep = Image.fromarray(rows.astype(np.uint16) * 257)
    deep.save(path)
    assert np.abs(read(path, 4, color_mode="grayscale16")[1:3, 1:3].astype(int) - 127 * 257).max() <= 20 * 257


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"size": 0}, ValueError, "size must be >= 1, got 0"),
        ({"size": (3, 4, 5)}, ValueError, r"size must be \(height, width\) or an int, got \(3, 4, 5\)"),
        ({"size": "32"}, TypeError, "size must be an int, got '32'"),
        ({"size": 2.5}, TypeError, "size must be an int, got 2.5"),
        ({"resize": "zoom"}, ValueError, "resize must be one of stretch, crop, pad, got 'zoom'"),
        ({"color_mode": "bgr"}, ValueError, "color_mode must be one of rgb, grayscale, grayscale16, got 'bgr'"),
        ({"color_mode": None}, ValueError, "color_mode must be one of .* got None"),
    ],
)
def test_arguments(arguments, kind, words):
    with pytest.raises(kind, match=words):
        Decoder.of(**({"size": None, "resize": "stretch", "color_mode": "rgb"} | arguments))


def test_damaged_files_are_named(path):
    Image.fromarray(RNG.integers(0, 256, (40, 40, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(ValueError, match=r"image\.png cannot be decoded"):
        Decoder.of(None, "stretch", "rgb").read(path)
    path.write_bytes(b"no image at all")
    with pytest.raises(ValueError, match=r"image\.png is no image that Pillow knows"):
        Decoder.of(None, "stretch", "rgb").read(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"image\.png"):
        Decoder.of(None, "stretch", "rgb").read(path)
