"""PyTorch on the same GPU: the same networks with cuDNN, eager and in a CUDA graph.

It runs in a Python that may have torch and NumPy alone (`torch_process.py` starts it), so this module and what it
imports import nothing else.
"""

from __future__ import annotations

import functools
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..percentiles import summary

ROUNDS, WARM_UP = 4, 10
GLOBAL_LENGTH = 316

Found = dict[str, Any]
Run = Callable[[], Any]


def main(spec_file: str, out_file: str) -> None:
    """Time every model of a spec and write what is found after every part.

    torch, cudnn: versions. models: name → {"weights", "events": part → {"direct", "graph"}}: milliseconds as summaries
    by CUDA events (by the host's clock on a CPU, and direct alone). For `touch` the parts are the encoder in fp16 and
    the touch stage in fp32, for the paper's networks the whole network in fp16. "not_done": why something is missing.
    """
    spec = json.loads(Path(spec_file).read_text())
    found: Found = {"torch": torch.__version__, "cudnn": torch.backends.cudnn.version(), "models": {}}

    def save() -> None:
        new = Path(out_file + ".new")
        new.write_text(json.dumps(found))
        new.replace(out_file)

    if spec["device"] == "cuda" and not torch.cuda.is_available():
        found["not_done"] = f"PyTorch {torch.__version__} reaches no GPU; install one built for CUDA"
        save()
        return
    torch.backends.cudnn.benchmark = True
    save()
    # The paper's networks take seconds, the encoder of `touch` half a minute: cuDNN tries every convolution.
    for name, model in sorted(spec["models"].items(), key=lambda item: item[1]["staged"]):
        of_model = found["models"][name] = {"events": {}}
        _attempt(of_model, functools.partial(_time_model, model, spec, of_model, save))
        save()


def _time_model(model: Found, spec: Found, found: Found, save: Callable[[], None]) -> None:
    with torch.inference_mode():
        parts = _touch_parts if model["staged"] else _planes_parts
        for name, run in parts(model, spec, found).items():
            times = found["events"][name] = {}
            _attempt(times, functools.partial(_time, run, spec, times))
            save()


def _attempt(found: Found, step: Run) -> None:
    """Run a step that fills `found`; an exception leaves its reason there."""
    try:
        step()
    except Exception as error:  # noqa: BLE001 - other parts are still timed
        traceback.print_exc()
        found["not_done"] = f"{type(error).__name__}: {' '.join(str(error).split())}"


def _load(network: nn.Module, path: str, found: Found) -> nn.Module:
    """Load the bundle's weights. Times do not depend on them, so missing ones stay as the network has them."""
    with np.load(path) as file:
        weights = {name: torch.from_numpy(file[name]) for name in file.files}
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    weights = {name: tensor for name, tensor in weights.items() if shapes.get(name) == tensor.shape}
    missing = set(dict(network.named_parameters())) - set(weights)
    network.load_state_dict(weights, strict=False)
    found["weights"] = f"{len(missing)} parameters are not the model's" if missing else "the model's"
    return network.eval()


def _touch_parts(model: Found, spec: Found, found: Found) -> dict[str, Run]:
    from ...build_engine.networks.efficientnet_lite import DEFAULT_BACKBONE
    from ...build_engine.networks.hint_attention import hints_from_inputs
    from ...build_engine.networks.touch import TouchNetwork

    device, count = spec["device"], spec["hints"]
    backbone = model["backbone"] or DEFAULT_BACKBONE
    network = _load(TouchNetwork(backbone), model["weights"], found).to(device)
    encoder = _half(_load(TouchNetwork(backbone), model["weights"], found), device)
    L = torch.full((1, 1, *model["size"]), 50.0, device=device)
    maps = network(L)
    hints = hints_from_inputs(*(tensor.to(device) for tensor in _some_hints(count)))
    wanted = torch.zeros(1, GLOBAL_LENGTH, device=device)
    half = L.to(next(encoder.parameters()).dtype)
    attention: Any = network.attention
    return {"touch": lambda: attention.colours(maps, hints, wanted)[0], "encoder": lambda: encoder(half)}


def _planes_parts(model: Found, spec: Found, found: Found) -> dict[str, Run]:
    from ...build_engine.networks import TOPOLOGIES
    from ...build_engine.networks.planes import PlanesNetwork

    device = spec["device"]
    network = _half(_load(PlanesNetwork(TOPOLOGIES[model["network"]]()), model["weights"], found), device)
    dtype = next(network.parameters()).dtype
    planes = torch.zeros(1, 4 if model["local"] else 1, *model["size"], device=device, dtype=dtype)
    planes = planes.to(memory_format=torch.channels_last)
    vector = (torch.zeros(1, GLOBAL_LENGTH, device=device, dtype=dtype),) if model["takes_global"] else ()
    return {"network": lambda: network(planes, *vector)}


def _half(network: nn.Module, device: str) -> nn.Module:
    """The network in fp16 and channels last on a GPU; as it is on a CPU, which has few kernels for fp16."""
    if device == "cpu":
        return network
    return network.half().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _some_hints(count: int) -> tuple[Tensor, ...]:
    """positions, colours, sizes, valid."""
    place = torch.linspace(0.1, 0.9, count)
    return (
        torch.stack([place, place.flip(0)], 1)[None],
        torch.full((1, count, 2), 20.0),
        torch.full((1, count), 5.0),
        torch.ones(1, count),
    )


def _time(run: Run, spec: Found, found: Found) -> None:
    """Direct calls, and the same work captured in a CUDA graph."""
    if spec["device"] == "cpu":
        found["direct"] = _samples(run, spec["touches"], _host_clock)
        return
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            run()
    torch.cuda.synchronize()
    found["direct"] = _samples(run, spec["touches"], _events())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    found["graph"] = _samples(graph.replay, spec["touches"], _events())


def _events() -> Callable[[Run], float]:
    """Milliseconds of a run, by CUDA events."""
    first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def once(run: Run) -> float:
        first.record()
        run()
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last))

    return once


def _host_clock(run: Run) -> float:
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1000


def _samples(run: Run, touches: int, once: Callable[[Run], float]) -> Found:
    for _ in range(min(WARM_UP, touches)):
        once(run)
    return summary([np.array([once(run) for _ in range(-(-touches // ROUNDS))]) for _ in range(ROUNDS)])
