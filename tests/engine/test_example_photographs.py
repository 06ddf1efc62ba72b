"""The example photographs and their list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from livetint.engine.files import read_toml
from livetint.engine.image.photo import Photo

FOLDER = Path(__file__).parents[2] / "photos"
ENTRIES = read_toml(FOLDER / "photographs.toml")["photograph"]


def test_every_photograph_is_listed_with_its_rights_and_the_folder_is_small():
    listed = [entry["file"] for entry in ENTRIES]
    assert sorted(listed) == sorted(path.name for path in FOLDER.glob("*.jpg"))
    attribution = (FOLDER / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for entry in ENTRIES:
        assert entry["title"] and entry["photographer"] and entry["source"] and entry["rights"]
        assert all(entry[key] in attribution for key in ("file", "title", "photographer", "rights"))
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3 * 2**20


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["file"])
def test_every_photograph_opens_and_is_what_the_list_says(entry):
    photo = Photo.open(FOLDER / entry["file"])
    assert 300 <= max(photo.size) <= 1600
    a, b = photo.working_ab()
    spread = float(np.hypot(a.std(), b.std()))  # a toned print has one hue, a colour photograph many
    assert (spread > 6) == entry["colour"]
    assert np.ptp(np.percentile(photo.working_L, (1, 99))) > 50
    for edge in (photo.L[0], photo.L[-1], photo.L[:, 0], photo.L[:, -1]):
        assert entry["colour"] or np.median(edge) > 12  # the border of the negative is cut off
