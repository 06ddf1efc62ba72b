"""Contact sheets and the README's picture: what is drawn, in which order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner
from livetint.bench.accuracy import sheets
from livetint.bench.accuracy.protocols import Zhang17
from livetint.bench.report import readme_figure
from livetint.cli.bench import pictures
from PIL import Image

PHOTOS = Path(__file__).parents[3] / "photos"
SIDE, GAP = 256, sheets.GAP_PX


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def colourful(tile) -> float:
    return float(np.ptp(tile, axis=2).mean())


def test_a_sheet_shows_grey_three_colourings_and_the_truth(tmp_path):
    folder, sheet = tmp_path / "photographs", tmp_path / "sheet.png"
    folder.mkdir()
    for name in ("coffee.jpg", "chelsea-the-cat.jpg"):
        (folder / name).write_bytes((PHOTOS / name).read_bytes())
    result = CliRunner().invoke(pictures.sheets, [str(folder), "-o", str(sheet), "--limit", "1"])
    assert result.exit_code == 0, result.output
    drawn = pixels(sheet)
    assert drawn.shape == (SIDE, 5 * SIDE + 4 * GAP, 3)
    grey, automatic, once, often, truth = (drawn[:, k * (SIDE + GAP) : k * (SIDE + GAP) + SIDE] for k in range(5))
    first = (folder / "chelsea-the-cat.jpg").read_bytes()
    np.testing.assert_array_equal(truth, Zhang17().picture(first, SIDE).rgb)
    assert colourful(grey) < 0.01 < colourful(automatic)
    errors = [np.mean((tile - truth) ** 2) for tile in (grey, automatic, often)]
    assert errors[0] > errors[1] and errors[0] > errors[2]
    assert np.any(once != automatic)


def test_a_sheet_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    result = CliRunner().invoke(pictures.sheets, [str(PHOTOS), "-o", str(tmp_path / "nowhere" / "sheet.png")])
    assert result.exit_code != 0 and result.exception is not None


def test_the_readme_s_picture_is_grey_automatic_and_touched(tmp_path):
    output = tmp_path / "readme-figure.png"
    result = CliRunner().invoke(pictures.readme_figure, ["-o", str(output), "--photo", str(PHOTOS / "coffee.jpg")])
    assert result.exit_code == 0, result.output
    drawn, step = pixels(output), readme_figure.WIDTH_PX + GAP
    assert drawn.shape[1] == 3 * readme_figure.WIDTH_PX + 2 * GAP
    grey, automatic, touched = (drawn[:, k * step : k * step + readme_figure.WIDTH_PX] for k in range(3))
    assert colourful(grey) < 0.01 < colourful(automatic) < colourful(touched)
