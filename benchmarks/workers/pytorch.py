"""PyTorch's side: eager mode, with the best of two memory layouts and two implementations of Adam.

A variant is "nchw" or "channels_last"; for training, "plain" or "fused" follows.
"""

from collections.abc import Callable
from typing import Any

import torch
from common import Answer, answer, layer_arrays, random_images, rate
from networks import NETWORKS, Layers
from torch import Tensor, nn
from torch.nn import functional as F

FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


class Residual(nn.Module):
    """The sum of a block and the other path."""

    def __init__(self, main: nn.Module, skip: nn.Module) -> None:
        super().__init__()
        self.main, self.skip = main, skip

    def forward(self, x: Tensor) -> Tensor:
        """Add both paths."""
        return self.main(x) + self.skip(x)


def build(layers: Layers, shape: tuple[int, ...]) -> tuple[nn.Sequential, tuple[int, ...]]:
    """Return a module, and the shape (H, W, C) or (features,) after it."""
    modules = []
    for kind, *sizes in layers:
        module, shape = _layer(kind, sizes, shape)
        modules.append(module)
    return nn.Sequential(*modules), shape


def _layer(kind: str, sizes: list[Any], shape: tuple[int, ...]) -> tuple[nn.Module, tuple[int, ...]]:
    if kind == "conv":
        filters, size, stride, padding, bias = sizes
        H, W = ((side + 2 * padding - size) // stride + 1 for side in shape[:2])
        return nn.Conv2d(shape[2], filters, size, stride, padding, bias=bias), (H, W, filters)
    if kind == "residual":
        main, after = build(sizes[0], shape)
        return Residual(main, build(sizes[1], shape)[0]), after
    if kind == "pool":
        return nn.MaxPool2d(sizes[0]), (shape[0] // sizes[0], shape[1] // sizes[0], shape[2])
    if kind == "dense":
        return nn.Linear(shape[0], sizes[0]), (sizes[0],)
    if kind == "mean":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), shape[2:]
    if kind == "flatten":
        return nn.Flatten(), (shape[0] * shape[1] * shape[2],)
    return (nn.BatchNorm2d(shape[2]) if kind == "norm" else nn.ReLU()), shape


def _network(name: str, layout: str) -> nn.Sequential:
    torch.manual_seed(0)
    return build(*NETWORKS[name])[0].to(memory_format=FORMATS[layout])


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def train(
    network: str, images: int, threads: int, seconds: float, items: list[list[str]], bfloat16: bool = False
) -> Answer:
    """Return images per second of training epochs, for each batch size."""
    torch.set_num_threads(threads)
    X, y = (torch.from_numpy(array) for array in random_images(network, images))
    figures = []
    for batch, variant in items:
        layout, adam = variant.split()
        module = _network(network, layout).train()
        optimizer = torch.optim.Adam(module.parameters(), fused=adam == "fused")
        epoch = _epoch(module, optimizer, X, y, layout, int(batch), bfloat16)
        figures.append(images * rate(epoch, seconds))
    return {"figures": figures, "parameters": _size(module)}


def _epoch(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    X: Tensor,
    y: Tensor,
    layout: str,
    batch: int,
    bfloat16: bool,
) -> Callable[[], None]:
    """Return a call that trains on every image once: batches are gathered from memory, without a loader."""
    # channels-last rows gathered from (n, H, W, C) need no further copy
    rows = X if layout == "channels_last" else X.permute(0, 3, 1, 2).contiguous()

    def epoch() -> None:
        order = torch.randperm(len(rows))
        for chosen in order.split(batch):
            x = rows.index_select(0, chosen)
            if layout == "channels_last":
                x = x.permute(0, 3, 1, 2)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                loss = F.cross_entropy(module(x), y.index_select(0, chosen))
            loss.backward()
            optimizer.step()

    return epoch


def predict(network: str, threads: int, seconds: float, items: list[list[str]]) -> Answer:
    """Return images per second of probabilities, for each batch size."""
    torch.set_num_threads(threads)
    figures = []
    for batch, layout in items:
        module = _network(network, layout).eval()
        x = torch.from_numpy(random_images(network, int(batch))[0]).permute(0, 3, 1, 2)
        x = x.contiguous(memory_format=FORMATS[layout])
        with torch.inference_mode():
            figures.append(len(x) * rate(lambda x=x, module=module: F.softmax(module(x), 1), seconds))
    return {"figures": figures, "parameters": _size(module)}


def layers(threads: int, seconds: float, items: list[list[str]]) -> Answer:
    """Return milliseconds of one convolution, for sizes and a direction: forward, backward or both."""
    torch.set_num_threads(threads)
    return {"figures": [1000 / rate(_directions(item, layout), seconds) for item, layout in items]}


def _directions(item: str, layout: str) -> Callable[[], object]:
    """Return a call that runs the layer; backward is autograd's, on a graph of this one convolution."""
    sizes, direction = item.split()
    (*_, stride, padding, groups), images, filters = layer_arrays(sizes)
    x, weight = (
        torch.from_numpy(array)
        .permute(0, 3, 1, 2)
        .contiguous(memory_format=FORMATS[layout])
        .requires_grad_(direction != "forward")
        for array in (images, filters)
    )
    bias = torch.zeros(len(weight), requires_grad=direction != "forward")

    def forward() -> Tensor:
        return F.conv2d(x, weight, bias, stride, padding, 1, groups)

    if direction == "forward":
        return torch.inference_mode()(forward)
    y = forward()
    dy = torch.ones_like(y)
    if direction == "backward":
        return lambda: torch.autograd.grad(y, (x, weight, bias), dy, retain_graph=True)
    return lambda: torch.autograd.grad(forward(), (x, weight, bias), dy)


if __name__ == "__main__":
    answer(train=train, predict=predict, layers=layers)
