"""Loaders of a graph, one for each run time: `load(graph, threads, folder)` → a function that runs it once.

They raise what their run time raises; `peers.py` turns that into a reason.
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.bundle import Bundle
from ...engine.errors import ConfigError

CONVERSION_S = 60
Answer = dict[str, NDArray[np.float32]]
Run = Callable[[], Answer]


@dataclass(frozen=True)
class Graph:
    """A network with its inputs: `feeds` float32 by name, in the order of the graph's inputs."""

    name: str
    stage: str
    bundle: Bundle
    data: bytes
    feeds: dict[str, NDArray[np.float32]]
    outputs: tuple[str, ...]


def _named(graph: Graph, arrays: Sequence[Any]) -> Answer:
    return {name: np.asarray(array, np.float32) for name, array in zip(graph.outputs, arrays, strict=True)}


def onnxruntime(graph: Graph, threads: int, folder: Path) -> Run:
    """ONNX Runtime on the CPU, as `OnnxRunner` uses it; the others are compared with it."""
    return _onnxruntime(graph, threads, "CPUExecutionProvider")


def onnxruntime_cuda(graph: Graph, threads: int, folder: Path) -> Run:
    """ONNX Runtime on an NVIDIA GPU."""
    return _onnxruntime(graph, threads, "CUDAExecutionProvider")


def _onnxruntime(graph: Graph, threads: int, provider: str) -> Run:
    import onnxruntime as ort

    from ...engine.runners.sessions import session_options

    if provider not in ort.get_available_providers():
        raise ConfigError(f"this onnxruntime has no {provider}; pip install onnxruntime-gpu")
    session = ort.InferenceSession(graph.data, session_options(threads), providers=[provider])
    return lambda: _named(graph, session.run(list(graph.outputs), graph.feeds))


def openvino(graph: Graph, threads: int, folder: Path) -> Run:
    """OpenVINO on the CPU, in float32, tuned for latency."""
    ov: Any = importlib.import_module("openvino")
    core = ov.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    model = core.read_model(graph.data)
    model.reshape({name: list(array.shape) for name, array in graph.feeds.items()})
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def run() -> Answer:
        request.infer(graph.feeds)
        return _named(graph, [request.get_tensor(name).data for name in graph.outputs])

    return run


def opencv(graph: Graph, threads: int, folder: Path) -> Run:
    """OpenCV's DNN module on the CPU, on the threads that OpenCV is set to."""
    import cv2

    net = cv2.dnn.readNetFromONNX(np.frombuffer(graph.data, np.uint8))
    outputs = list(graph.outputs)

    def run() -> Answer:
        for name, array in graph.feeds.items():
            net.setInput(array, name)
        return _named(graph, net.forward(outputs))

    return run


def torch_cpu(graph: Graph, threads: int, folder: Path) -> Run:
    """PyTorch on the CPU, eager."""
    return _torch(graph, threads, "cpu")


def torch_cuda(graph: Graph, threads: int, folder: Path) -> Run:
    """PyTorch on an NVIDIA GPU with cuDNN, eager. The answer is copied to the CPU, as a touch needs it."""
    import torch

    if not torch.cuda.is_available():
        raise ConfigError("PyTorch finds no CUDA GPU")
    return _torch(graph, threads, "cuda")


def _torch(graph: Graph, threads: int, device: str) -> Run:
    import torch

    torch.set_num_threads(threads)
    module = _module(graph).eval().to(device)
    inputs = list(graph.feeds.values())

    @torch.inference_mode()
    def run() -> Answer:
        found = module(*(torch.from_numpy(array).to(device) for array in inputs))
        if isinstance(found, dict):
            found = [found[name] for name in graph.outputs]
        elif torch.is_tensor(found):
            found = [found]
        return _named(graph, [tensor.cpu().numpy() for tensor in found])

    return run


def _module(graph: Graph) -> Any:
    """The PyTorch module that the graph was exported from, with the graph's weights."""
    from ...build_engine import touch_bundle
    from ...build_engine.networks.planes import planes_network

    if graph.stage != "colour":
        network = touch_bundle.network_of(graph.bundle)
        return network if graph.stage == "encoder" else touch_bundle.TouchStage(network)
    weights = touch_bundle.weights_of(graph.bundle)
    network = planes_network(graph.bundle.manifest.network)
    # Heads that the graph leaves out keep their initial weights. The comparison of answers checks the rest.
    own = network.state_dict()
    network.load_state_dict(own | {name: tensor for name, tensor in weights.items() if name in own})
    return network


def ncnn(graph: Graph, threads: int, folder: Path) -> Run:
    """ncnn on the CPU, in float32, from a conversion by pnnx."""
    runtime: Any = importlib.import_module("ncnn")
    param, weights = _convert(graph, folder)
    net = runtime.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, option, False)
    if net.load_param(str(param)) or net.load_model(str(weights)):
        raise ConfigError("ncnn cannot load what pnnx converted: a layer is missing")
    inputs = [runtime.Mat(np.ascontiguousarray(array[0])) for array in graph.feeds.values()]

    def run() -> Answer:
        extractor = net.create_extractor()
        for index, mat in enumerate(inputs):
            extractor.input(f"in{index}", mat)
        found = []
        for index in range(len(graph.outputs)):
            code, mat = extractor.extract(f"out{index}")
            if code:
                raise ConfigError(f"ncnn gives no output {index} (code {code})")
            found.append(np.array(mat))
        return _named(graph, found)

    return run


def _pnnx() -> Path:
    """The converter, a program inside its wheel."""
    spec = importlib.util.find_spec("pnnx")
    if spec is None or spec.origin is None:
        raise ConfigError("ncnn needs pnnx to read ONNX; pip install 'livetint[peers]'")
    return Path(spec.origin).parent / "pnnx"


def _convert(graph: Graph, folder: Path) -> tuple[Path, Path]:
    """ONNX → ncnn's two files, made once in a folder. Raises ConfigError with the last line that pnnx printed."""
    place = folder / graph.name.replace(" ", "-")
    param, weights = place / "model.ncnn.param", place / "model.ncnn.bin"
    if not (param.is_file() and weights.is_file()):
        program = _pnnx()
        place.mkdir(parents=True, exist_ok=True)
        (place / "model.onnx").write_bytes(graph.data)
        shapes = ",".join("[" + ",".join(map(str, array.shape)) + "]" for array in graph.feeds.values())
        command = [str(program), "model.onnx", f"inputshape={shapes}", "fp16=0"]
        found = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=CONVERSION_S, check=False)
        if not (param.is_file() and weights.is_file()):
            words = (found.stderr.strip() or found.stdout.strip() or "it said nothing").splitlines()[-1]
            raise ConfigError(f"pnnx cannot convert it (code {found.returncode}): {words}")
    return param, weights
