"""A CUDA graph can record the networks: after a warm-up, a run makes no tensor from the host's memory.

The device is "meta", which computes shapes alone: a copy to it is as visible as one to a GPU.
"""

from __future__ import annotations

import pytest
from livetint.build_engine.networks import TOPOLOGIES

from ..needs import import_or_skip

torch = import_or_skip("torch")

from livetint.build_engine.networks.hint_attention import Hints  # noqa: E402
from livetint.build_engine.networks.planes import PlanesNetwork  # noqa: E402
from livetint.build_engine.networks.touch import TouchNetwork  # noqa: E402
from livetint.engine.colour.global_hints import VECTOR_LENGTH  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402

# What copies from the host, and what waits for the device.
FORBIDDEN = {
    torch.tensor, torch.as_tensor, torch.from_numpy, torch.Tensor.cuda, torch.Tensor.cpu, torch.Tensor.item,
    torch.Tensor.tolist, torch.Tensor.nonzero, torch.Tensor.__bool__, torch.Tensor.__float__,
}  # fmt: skip


class NoHostCopies(TorchFunctionMode):
    """Raises where a run could not be captured."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        to_device = "device" in kwargs or any(isinstance(arg, (str, torch.device)) for arg in args[1:])
        if func in FORBIDDEN or (func is torch.Tensor.to and to_device):
            raise AssertionError(f"{func.__name__} inside a CUDA graph's capture")
        return func(*args, **kwargs)


def check_capture(run) -> None:
    with torch.inference_mode():
        run()
        with NoHostCopies():
            run()


@pytest.fixture(scope="module")
def network() -> TouchNetwork:
    return TouchNetwork().eval().to("meta")


def test_the_touch_network(network: TouchNetwork):
    L = torch.empty(1, 1, 256, 256, device="meta")
    hints = Hints(*(torch.empty(1, 16, *rest, device="meta") for rest in ((2,), (2,), (), ())))
    check_capture(lambda: network.attention.colours(network(L), hints, torch.empty(1, VECTOR_LENGTH, device="meta")))


def test_the_distribution(network: TouchNetwork):
    maps = network(torch.empty(1, 1, 256, 256, device="meta"))
    hints = Hints(*(torch.empty(1, 16, *rest, device="meta") for rest in ((2,), (2,), (), ())))
    points = torch.empty(1, 16, 2, device="meta")
    check_capture(
        lambda: network.attention.distribution(maps, hints, torch.empty(1, VECTOR_LENGTH, device="meta"), points)
    )


@pytest.mark.parametrize("name", list(TOPOLOGIES))
def test_the_networks_of_the_paper(name: str):
    network = PlanesNetwork(TOPOLOGIES[name]()).eval().to("meta")
    inputs = network.topology.inputs
    planes = torch.empty(1, inputs["planes"], 64, 64, device="meta")
    vector = (torch.empty(1, VECTOR_LENGTH, device="meta"),) if "global" in inputs else ()
    check_capture(lambda: network(planes, *vector))


def test_training_may_follow_a_run_without_gradients(network: TouchNetwork):
    """What is kept on a device is no inference tensor, which autograd refuses."""
    from livetint.build_engine.networks import sampling

    sampling._kept_quarters.cache_clear()
    where = torch.zeros(1, 3, 2, device="meta")
    with torch.inference_mode():
        sampling.patch_taps(where, torch.ones(1, 3, device="meta"), 64, 64)
    assert not sampling._kept_quarters(where.device).is_inference()
