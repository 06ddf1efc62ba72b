"""Aged photographs: always the same, plausibly old, and unchanged except in the L that the network sees."""

from __future__ import annotations

import json

import numpy as np
import pytest
from livetint.bench.accuracy import aging
from livetint.bench.accuracy.photo_set import PhotoSet
from livetint.bench.accuracy.protocols import PROTOCOLS
from livetint.cli.__main__ import main

from ..stubs import ConstantRunner, write_photos

ZHANG = PROTOCOLS["zhang17"]


@pytest.fixture
def pictures(tmp_path):
    return list(PhotoSet(write_photos(tmp_path / "set", 3)).pictures(ZHANG, 256))


def test_only_the_lightness_the_network_sees_changes(pictures):
    for clean, old in zip(pictures, aging.aged_pictures(pictures), strict=True):
        assert old.rgb is clean.rgb and old.lab is clean.lab
        assert old.L.shape == clean.L.shape and old.L.dtype == np.float32
        assert old.L.min() >= 0 and old.L.max() <= 100
        assert 2 < np.abs(old.L - clean.L).mean() < 40


def test_a_photograph_ages_the_same_every_time_and_unlike_the_next_one(pictures):
    first, again = (list(aging.aged_pictures(pictures)) for _ in range(2))
    for one, same in zip(first, again, strict=True):
        assert np.array_equal(one.L, same.L)
    other = list(aging.aged_pictures(pictures, seed=5))
    assert not np.array_equal(first[0].L, other[0].L)
    twins = list(aging.aged_pictures([pictures[0]] * 2))
    assert not np.array_equal(twins[0].L, twins[1].L)


def test_old_lightness_has_less_contrast_and_more_grain():
    ramp = np.linspace(0, 100, 256, dtype=np.float32)[None].repeat(256, 0)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        tones = aging.faded(ramp, rng)
        assert 45 < np.ptp(tones) < 90 and (np.diff(tones[0]) >= 0).all()
        assert aging.GRAIN_L[0] <= aging.grain((256, 256), rng).std() <= aging.GRAIN_L[1] + 1e-3
        stains = aging.stains((200, 256), rng)
        assert stains.shape == (200, 256) and stains.max() <= 0 and stains.min() >= -aging.STAIN_L[1]
        share = np.mean(np.abs(aging.marks((256, 256), rng)) > 4)
        assert 0 < share < 0.05, "marks are few"


def test_the_option_aged_adds_losses_to_the_result(tmp_path, monkeypatch):
    monkeypatch.setattr("livetint.cli.bench.accuracy.open_runner", lambda model, device: ConstantRunner((5.0, 5.0)))
    photos, out = write_photos(tmp_path / "set", 2), tmp_path / "out.json"
    main(["bench", "accuracy", "--photos", str(photos), "--hints", "0,2", "--aged", "--json", str(out)])
    table = json.loads(out.read_text())
    assert set(table["aged"]["points"]) == {"0", "2"} and table["aged"]["photos"] == 2
    row = table["aged"]["points"]["2"]
    assert row["lost_db"] == 0, "a network that looks at nothing loses nothing"
    assert row["psnr"] == table["psnr"]["2"] and row["gain"] == table["gain"]["2"]
