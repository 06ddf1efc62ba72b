"""The accuracy bench on runners with known results."""

from __future__ import annotations

import json

import numpy as np
import pytest
from livetint.bench.accuracy import curve
from livetint.bench.accuracy.photo_set import PhotoSet
from livetint.bench.accuracy.protocols import PROTOCOLS
from livetint.bench.accuracy.run import Plan
from livetint.engine.errors import ConfigError

from ...needs import needs
from ..stubs import ConstantRunner, write_photos

ZHANG = PROTOCOLS["zhang17"]


def run(folder, runner, **settings):
    plan = Plan(PROTOCOLS[settings.pop("protocol", "zhang17")], settings.pop("counts", (0, 2)), **settings)
    stream = PhotoSet(folder).pictures(plan.protocol, 256)
    return curve.as_table(curve.measure(runner, stream, plan), 256)


@pytest.fixture
def folder(tmp_path):
    return write_photos(tmp_path / "set", 3)


def test_a_grey_network_gains_nothing_and_a_constant_one_scores_what_its_colour_scores(folder):
    table = run(folder, ConstantRunner())
    assert table["gain"] == {"0": 0.0, "2": 0.0}
    assert table["psnr"]["0"] == table["gray"]

    tinted = run(folder, ConstantRunner((12.0, 20.0)))
    ab = np.empty((2, 256, 256), np.float32)
    ab[0], ab[1] = 12, 20
    expected = [ZHANG.psnr(p, ab) for p in PhotoSet(folder).pictures(ZHANG, 256)]
    assert tinted["samples"]["psnr/0"] == pytest.approx(expected, abs=1e-4)
    assert tinted["psnr"]["2"] == pytest.approx(np.mean(expected), abs=1e-4)
    error = np.std(expected, ddof=1) / np.sqrt(3)
    assert tinted["psnr_standard_error"]["0"] == pytest.approx(error, abs=1e-4)
    assert tinted["gain"]["0"] == pytest.approx(tinted["psnr"]["0"] - tinted["gray"], abs=2e-4)


def test_points_depend_on_seed_count_and_draw_alone(folder):
    first, second, other = ConstantRunner(), ConstantRunner(), ConstantRunner()
    run(folder, first, counts=(2, 3), draws=2)
    run(folder, second, counts=(3,), draws=2)
    run(folder, other, counts=(2, 3), draws=2, seed=99)
    assert [h for h, _ in first.asked if len(h) == 3] == [h for h, _ in second.asked]
    assert [h for h, _ in first.asked] != [h for h, _ in other.asked]
    threes = [h for h, _ in second.asked]
    assert len(set(threes)) == len(threes) == 6
    assert first.asked[0][0] != first.asked[1][0]
    assert first.asked[0][0] != first.asked[2][0][:2]


def test_counts_that_the_network_cannot_take_are_left_out_and_named(folder):
    table = run(folder, ConstantRunner(max_hints=4), counts=(0, 4, 5, 100))
    assert list(table["psnr"]) == ["0", "4"]
    assert set(table["left_out"]) == {"5", "100"}
    assert "at most 4" in table["left_out"]["5"]
    assert "left out: 5" in curve.as_lines(table)


def test_global_hints_reveal_the_truths_statistics_without_points(folder):
    runner = ConstantRunner(local=False)
    table = run(folder, runner, counts=(0, 1), global_kinds=("hist", "sat", "both"))
    assert list(table["global"]["psnr"]) == ["hist", "sat", "both"]
    assert "1" in table["left_out"]
    revealed = [(g.histogram is not None, g.saturation is not None) for _, g in runner.asked[:4]]
    assert revealed == [(False, False), (True, False), (False, True), (True, True)]


def test_a_result_of_icolorit_names_both_sizes(folder):
    runner = ConstantRunner()
    table = run(folder, runner, protocol="icolorit")
    assert (table["scored_side_px"], table["network_side_px"]) == (224, 256)
    assert runner.L_planes[0].shape == (256, 256)


def test_a_run_that_can_measure_nothing_is_refused(folder):
    with pytest.raises(ConfigError, match="nothing can be measured"):
        run(folder, ConstantRunner(local=False), counts=(3,))


def test_a_file_that_is_no_picture_is_named(folder):
    (folder / "9.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"9\.png cannot be decoded"):
        run(folder, ConstantRunner())


def test_the_table_is_plain_json_and_one_photograph_has_no_standard_error(tmp_path):
    table = run(write_photos(tmp_path / "one", 1), ConstantRunner())
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    assert table["gray_standard_error"] is None
    assert {"protocol", "photos", "psnr", "gray", "seed"} <= set(table)
    assert "levin" not in table


@needs("scipy")
def test_levin_is_measured_when_asked_for(folder):
    table = run(folder, ConstantRunner(), counts=(0, 5), baselines=("grey", "levin"))
    assert table["levin"]["gain"]["0"] == 0
    assert table["levin"]["gain"]["5"] > 3


def test_other_builds_get_the_same_points_and_their_loss_is_paired(folder):
    ours, other = ConstantRunner((12.0, 20.0)), ConstantRunner()
    plan = Plan(ZHANG, (1, 3), draws=2)
    found = curve.measure(ours, PhotoSet(folder).pictures(ZHANG, 256), plan, beside={"int8": other})
    table = curve.as_table(found, 256)
    assert ours.asked == other.asked
    side = table["beside"]["int8"]
    assert side["gain"]["3"] == 0
    assert side["lost_db"]["3"] == pytest.approx(table["gain"]["3"], abs=2e-4)
    assert "int8" in curve.as_lines(table)
