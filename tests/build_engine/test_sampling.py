"""Sampling of planes between cells, and upsampling."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ..needs import import_or_skip

torch = import_or_skip("torch")

from livetint.build_engine.networks.sampling import interleave, patch_taps, sample, taps, upsample_convex  # noqa: E402


@settings(max_examples=30, deadline=None)
@given(
    channels=st.sampled_from([1, 2, 8, 9, 30]), height=st.integers(2, 9), width=st.integers(2, 9),
    batch=st.integers(1, 3), seed=st.integers(0, 1000),
)  # fmt: skip
def test_samples_are_bilinear_and_borders_are_repeated(channels, height, width, batch, seed):
    generator = torch.Generator().manual_seed(seed)
    plane = torch.randn(batch, channels, height, width, generator=generator)
    points = torch.rand(batch, 7, 2, generator=generator) * 1.2 - 0.1
    points[:, 0], points[:, 1] = 0, 1
    expected = torch.nn.functional.grid_sample(
        plane, (points * 2 - 1)[:, :, None], mode="bilinear", padding_mode="border", align_corners=False
    )
    torch.testing.assert_close(sample(plane, taps(points, height, width)), expected[..., 0], atol=1e-4, rtol=1e-4)


def test_gradients_reach_only_the_cells_that_were_sampled():
    plane = torch.zeros(2, 12, 4, 4, requires_grad=True)
    sample(plane, taps(torch.full((2, 1, 2), 0.5), 4, 4)).sum().backward()
    expected = torch.zeros(4, 4)
    expected[1:3, 1:3] = 0.25
    torch.testing.assert_close(plane.grad, expected.expand(2, 12, 4, 4))


def test_patches_are_averaged():
    ramp = (torch.arange(64.0) + 0.5)[None, None, None].expand(1, 1, 64, 64)
    at = patch_taps(torch.tensor([[[0.5, 0.5], [0.25, 0.5]]]), torch.tensor([[8.0, 1.0]]), 64, 64)
    torch.testing.assert_close(sample(ramp, at)[0, 0], torch.tensor([32.0, 16.0]))
    step = (torch.arange(64) >= 32).float()[None, None, None].expand(1, 1, 64, 64).contiguous()
    edge = patch_taps(torch.tensor([[[0.5, 0.5]]]), torch.tensor([[9.0]]), 64, 64)
    assert sample(step, edge).item() == pytest.approx(0.5)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(2, 5), st.integers(2, 5), st.integers(0, 1000))
def test_interleaving_is_a_pixel_shuffle(batch, height, width, seed):
    fine = torch.randn(batch, 2, 16, height * width, generator=torch.Generator().manual_seed(seed))
    expected = torch.nn.functional.pixel_shuffle(fine.reshape(batch, 32, height, width), 4)
    assert torch.equal(interleave(fine, height, width), expected)


@settings(max_examples=15, deadline=None)
@given(st.floats(-50, 50), st.floats(-50, 50))
def test_convex_upsampling_keeps_constants_and_range(a, b):
    coarse = torch.tensor([a, b])[None, :, None, None].expand(1, 2, 5, 6).contiguous()
    up = torch.rand(1, 9, 16, 30).softmax(1)
    fine = upsample_convex(coarse, up)
    assert fine.shape == (1, 2, 20, 24)
    torch.testing.assert_close(fine, coarse[:, :, :1, :1].expand_as(fine), atol=1e-4, rtol=0)


def test_convex_upsampling_puts_each_fine_pixel_beside_its_cell():
    coarse = torch.arange(12.0).reshape(1, 1, 3, 4).repeat(1, 2, 1, 1)
    up = torch.zeros(1, 9, 16, 12)
    up[:, 4] = 1
    fine = upsample_convex(coarse, up)
    torch.testing.assert_close(fine, coarse.repeat_interleave(4, 2).repeat_interleave(4, 3))
