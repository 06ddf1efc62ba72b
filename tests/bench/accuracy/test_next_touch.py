"""Places that the network names against random ones, on networks with known results."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from livetint.bench.accuracy import next_touch
from livetint.bench.accuracy.protocols import PROTOCOLS, Picture
from livetint.cli.commands import livetint
from livetint.engine.colour.bins import CENTRES
from livetint.engine.colour.cielab import lab_to_srgb, srgb_to_lab
from livetint.engine.next_touch import Place

from ..stubs import ConstantRunner, write_photos

ZHANG = PROTOCOLS["zhang17"]


class Corner(ConstantRunner):
    """A network that is uncertain in the lower right quarter alone; any hint there gives it the colour."""

    def colorize(self, features, hints, global_hints=None):
        ab = np.zeros((2, 256, 256), np.float32)
        for hint in hints:
            if hint.x >= 0.5 and hint.y >= 0.5:
                ab[:, 128:, 128:] = np.array([hint.a, hint.b], np.float32)[:, None, None]
        return ab

    def distribution(self, features, hints, global_hints, points):
        grey = int(np.flatnonzero((CENTRES == 0).all(1))[0])
        p = np.zeros((len(points), len(CENTRES)), np.float32)
        p[:, grey] = 1
        p[(points >= 0.5).all(1)] = 1 / len(CENTRES)
        return p


def corner_picture() -> Picture:
    """Grey except for a red lower right quarter."""
    lab = np.zeros((256, 256, 3))
    lab[..., 0] = 50
    lab[128:, 128:, 1] = 40
    rgb = np.rint(lab_to_srgb(lab) * 255).astype(np.uint8)
    lab = srgb_to_lab(rgb / 255).astype(np.float64)
    return Picture(rgb, lab, lab[..., 0].astype(np.float32))


def test_the_chosen_place_beats_random_ones_where_one_place_matters():
    table = next_touch.as_table(next_touch.measure_next_touch(Corner(), [corner_picture()] * 4, ZHANG))
    assert table["chosen"]["1"]["mean"] > 40 > table["random"]["1"]["mean"]
    assert table["chosen"]["1"]["gain"] == pytest.approx(
        table["chosen"]["1"]["mean"] - table["random"]["1"]["mean"], abs=2e-4
    )
    assert table["at once"]["1"]["mean"] == table["chosen"]["1"]["mean"]
    assert table["random"]["1"]["mean"] < table["random"]["10"]["mean"]
    assert table["no touch"]["0"]["mean"] < table["random"]["3"]["mean"]
    assert "chosen" in next_touch.as_lines(table)


def test_touches_reveal_the_truth_under_the_place_also_at_the_border():
    inside, border = next_touch.touches(corner_picture(), [Place(0.75, 0.75, 0), Place(1.0, 0.0, 0)])
    assert (inside.a, inside.b) == pytest.approx((40, 0), abs=1)
    assert (border.a, border.b) == pytest.approx((0, 0), abs=0.01)


def test_the_option_where_adds_touches_to_the_result(tmp_path):
    photos, out = write_photos(tmp_path / "set", 1), tmp_path / "out.json"
    arguments = ["bench", "accuracy", "--photos", str(photos), "--hints", "0", "--where", "--json", str(out)]
    found = CliRunner().invoke(livetint, arguments, catch_exceptions=False)
    assert found.exit_code == 0 and "where to touch next" in found.output
    table = json.loads(out.read_text())["where"]
    assert set(table["chosen"]) == {"1", "3", "5", "10"} and table["draws"] == next_touch.DRAWS
