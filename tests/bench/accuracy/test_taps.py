"""Random taps with their first colour, on networks with known results."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from livetint.bench.accuracy import taps
from livetint.bench.accuracy.protocols import PROTOCOLS, Picture
from livetint.cli.commands import livetint
from livetint.engine.colour.cielab import lab_to_srgb, srgb_to_lab
from livetint.kiosk.engine.service import SWATCHES
from livetint.kiosk.settings import EngineTable

from ..stubs import ConstantRunner, write_photos

ZHANG = PROTOCOLS["zhang17"]


class Obedient(ConstantRunner):
    """A network whose picture has the colour of the newest hint everywhere; (5, 12) without hints."""

    def _colorize(self, features, hints, global_hints):
        ab = np.empty((2, 256, 256), np.float32)
        ab[0], ab[1] = (hints[-1].a, hints[-1].b) if hints else (5, 12)
        return ab


def picture(a: float, b: float) -> Picture:
    """One colour at L 60."""
    lab = np.zeros((256, 256, 3))
    lab[...] = 60, a, b
    rgb = np.rint(lab_to_srgb(lab) * 255).astype(np.uint8)
    lab = srgb_to_lab(rgb / 255).astype(np.float64)
    return Picture(rgb, lab, lab[..., 0].astype(np.float32))


def rows(a: float, b: float) -> dict:
    table = taps.as_table(taps.measure_taps(Obedient(), [picture(a, b)] * 2, ZHANG))
    assert list(table["vivid"]) == ["1"], "this network takes no other vivid"
    return table["vivid"]["1"]


def test_taps_help_where_the_truth_is_richer_and_harm_where_it_is_paler(monkeypatch):
    monkeypatch.setattr(taps, "DRAWS", 1)
    monkeypatch.setattr(taps, "RULES", {"richer": lambda place: 1.5 * place.ab[:, 0, 0]})
    richer, paler = rows(10, 24)["richer"], rows(0, 0)["richer"]
    assert richer["taps"]["1"]["mean"] > 1 and richer["taps"]["1"]["worse"] == 0
    assert paler["taps"]["5"]["mean"] < -1 and paler["taps"]["5"]["worse"] == 1
    assert richer["seen"] >= 0.6 and richer["lower"] == 0


def test_a_tap_that_takes_colour_away_or_is_not_seen_is_counted():
    L = np.full((256, 256), 60, np.float32)
    strong, weak = (np.full((2, 256, 256), value, np.float32) for value in (14, 10))
    assert taps._judge(L, strong, weak, (0.5, 0.5)) == {"seen": 0, "lower": 1}
    assert taps._judge(L, weak, strong + 2, (0.5, 0.5)) == {"seen": 1, "lower": 0}


def test_the_numbers_are_the_kiosk_s():
    assert (1, EngineTable().vivid) == taps.VIVIDS and taps.SWATCHES == SWATCHES


def test_the_option_taps_adds_them_to_the_result(tmp_path, monkeypatch):
    monkeypatch.setattr(taps, "DRAWS", 1)
    photos, out = write_photos(tmp_path / "set", 1), tmp_path / "out.json"
    arguments = ["bench", "accuracy", "--photos", str(photos), "--hints", "0", "--taps", "--json", str(out)]
    found = CliRunner().invoke(livetint, arguments, catch_exceptions=False)
    assert found.exit_code == 0 and "taps with their first colour" in found.output
    table = json.loads(out.read_text())["taps"]
    assert set(table["vivid"]) == {"1", "1.35"} and table["draws"] == 1
    assert set(table["vivid"]["1.35"]["first"]["taps"]) == {"1", "3", "5"}
    assert table["vivid"]["1"]["first"]["taps"]["1"]["mean"] == pytest.approx(0, abs=20)
    assert taps.as_rows(table)[0][1] == "1 tap"
