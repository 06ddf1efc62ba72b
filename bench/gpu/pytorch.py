"""PyTorch on the same GPU in the same run: the same network with cuDNN, fp16, channels last, in a CUDA graph."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from ...engine.bundle import Bundle
from ...engine.errors import NoDevice
from ..percentiles import summary

ROUNDS, WARM_UP = 4, 10


def time_torch(bundle: Bundle, touches: int, count: int) -> dict[str, Any]:
    """events: part → {"direct", "graph"}, summaries of milliseconds by CUDA events.

    For `touch`: the encoder in fp16, and the touch stage as in its plan (fp32, `count` hints). For the paper's
    networks: the whole network in fp16. Raises NoDevice without a PyTorch that can use the GPU.
    """
    if importlib.util.find_spec("torch") is None:
        raise NoDevice("PyTorch is not installed: pip install torch")
    import torch

    if not torch.cuda.is_available():
        raise NoDevice(f"PyTorch {torch.__version__} reaches no GPU; install one built for CUDA")
    torch.backends.cudnn.benchmark = True
    parts = _touch_parts(bundle, count) if bundle.manifest.input.kind == "hints" else _planes_parts(bundle)
    with torch.inference_mode():
        events = {name: _time(run, touches) for name, run in parts.items()}
    return {"torch": torch.__version__, "cudnn": torch.backends.cudnn.version(), "events": events}


def _touch_parts(bundle: Bundle, count: int) -> dict[str, Callable[[], Any]]:
    import torch

    from ...build_engine.networks.touch import TouchNetwork
    from ...build_engine.touch_bundle import EncoderStage, TouchStage, example_hints, weights_of

    network = TouchNetwork().eval()
    network.load_state_dict(weights_of(bundle), strict=False)
    network.to("cuda")
    L = torch.full((1, 1, *bundle.manifest.input.working_size), 50.0, device="cuda")
    with torch.inference_mode():
        maps = network(L)._asdict()
    touch = TouchStage(network)
    inputs = [maps[name].clone() for name in touch.maps] + [tensor.to("cuda") for tensor in example_hints(count)]
    encoder_network = TouchNetwork().eval()
    encoder_network.load_state_dict(network.state_dict())
    encoder = EncoderStage(encoder_network).half().to("cuda").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    half = L.half()
    return {"encoder": lambda: encoder(half), "touch": lambda: touch(*inputs)}


def _planes_parts(bundle: Bundle) -> dict[str, Callable[[], Any]]:
    import torch

    from ...build_engine.networks.planes import planes_network
    from ...build_engine.planes_bundle import planes_weights

    network = planes_network(bundle.manifest.network).eval()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in planes_weights(bundle).items()})
    network.half().to("cuda").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = bundle.manifest.input
    planes = torch.zeros(1, 4 if settings.local else 1, *settings.working_size, device="cuda", dtype=torch.half)
    planes = planes.to(memory_format=torch.channels_last)
    vector = (torch.zeros(1, 316, device="cuda", dtype=torch.half),) if settings.takes_global else ()
    return {"network": lambda: network(planes, *vector)}


def _time(run: Callable[[], Any], touches: int) -> dict[str, Any]:
    """Direct calls, and the same work captured in a CUDA graph."""
    import torch

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            run()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return {"direct": _samples(run, touches), "graph": _samples(graph.replay, touches)}


def _samples(run: Callable[[], Any], touches: int) -> dict[str, Any]:
    import torch

    first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def once() -> float:
        first.record()
        run()
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last))

    for _ in range(WARM_UP):
        once()
    return summary([np.array([once() for _ in range(-(-touches // ROUNDS))]) for _ in range(ROUNDS)])
