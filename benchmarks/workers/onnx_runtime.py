"""ONNX Runtime's side of inference: the networks as ONNX graphs, with all graph optimisations."""

from typing import Any

import numpy as np
import onnxruntime
from common import Answer, answer, random_images, rate
from networks import NETWORKS, Layers
from onnx import TensorProto, helper, numpy_helper

_STATISTICS = ("mean", "variance")  # of batch norm: not parameters


class Graph:
    """Nodes and weights, built layer by layer; images are (N, C, H, W) as ONNX wants them."""

    def __init__(self, layers: Layers, shape: tuple[int, ...]) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.parameters = 0
        self._rng = np.random.default_rng(0)
        H, W, C = shape
        last, _ = self._sequence(layers, "x", shape)
        self._node("Softmax", [last], "probabilities", axis=1)
        graph = helper.make_graph(
            self.nodes, "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", C, H, W])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])],
            self.weights,
        )  # fmt: skip
        self.model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def _node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _weight(self, shape: tuple[int, ...], role: str = "") -> str:
        """Add a weight: He's start for kernels, and any positive numbers for the rest."""
        deviation = np.sqrt(2 / max(1, np.prod(shape[1:]))) if len(shape) > 1 else 0.1
        values = self._rng.normal(0 if len(shape) > 1 else 1, deviation, shape).astype(np.float32)
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        self.parameters += 0 if role in _STATISTICS else values.size
        return name

    def _sequence(self, layers: Layers, x: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        for kind, *sizes in layers:
            x, shape = self._layer(kind, sizes, x, shape)
        return x, shape

    def _layer(self, kind: str, sizes: list[Any], x: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        if kind == "conv":
            filters, size, stride, padding, bias = sizes
            inputs = [x, self._weight((filters, shape[2], size, size))]
            inputs += [self._weight((filters,))] if bias else []
            H, W = ((side + 2 * padding - size) // stride + 1 for side in shape[:2])
            y = self._node("Conv", inputs, strides=[stride] * 2, pads=[padding] * 4, kernel_shape=[size] * 2)
            return y, (H, W, filters)
        if kind == "norm":
            inputs = [self._weight(shape[2:], role) for role in ("scale", "shift", *_STATISTICS)]
            return self._node("BatchNormalization", [x, *inputs], epsilon=1e-5), shape
        if kind == "residual":
            main, after = self._sequence(sizes[0], x, shape)
            return self._node("Add", [main, self._sequence(sizes[1], x, shape)[0]]), after
        if kind == "pool":
            y = self._node("MaxPool", [x], kernel_shape=[sizes[0]] * 2, strides=[sizes[0]] * 2)
            return y, (shape[0] // sizes[0], shape[1] // sizes[0], shape[2])
        if kind == "dense":
            inputs = [x, self._weight((sizes[0], shape[0])), self._weight((sizes[0],))]
            return self._node("Gemm", inputs, transB=1), (sizes[0],)
        if kind == "mean":
            return self._node("Flatten", [self._node("GlobalAveragePool", [x])]), shape[2:]
        if kind == "flatten":
            return self._node("Flatten", [x]), (shape[0] * shape[1] * shape[2],)
        return self._node("Relu", [x]), shape


def predict(network: str, threads: int, seconds: float, items: list[list[str]]) -> Answer:
    """Return images per second of probabilities, for each batch size."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    graph = Graph(*NETWORKS[network])
    session = onnxruntime.InferenceSession(
        graph.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    figures = []
    for batch, _ in items:
        x = np.ascontiguousarray(random_images(network, int(batch))[0].transpose(0, 3, 1, 2))
        figures.append(len(x) * rate(lambda x=x: session.run(None, {"x": x}), seconds))
    return {"figures": figures, "parameters": graph.parameters}


if __name__ == "__main__":
    answer(predict=predict)
