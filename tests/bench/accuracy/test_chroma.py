"""The chroma of pictures beside that of the photographs, and the bench with vivid automatic colours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livetint.bench.accuracy import chroma
from livetint.bench.accuracy.photo_set import PhotoSet
from livetint.bench.accuracy.protocols import PROTOCOLS, Picture
from livetint.bench.accuracy.run import Plan
from livetint.cli.__main__ import main
from livetint.engine.errors import HintRejected

from ..stubs import ConstantRunner, write_photos

PLAN = Plan(PROTOCOLS["zhang17"], (0, 2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "set", 3)


def pictures(folder: Path) -> Iterator[Picture]:
    return PhotoSet(folder).pictures(PLAN.protocol, 256)


def test_grey_pictures_have_no_chroma_and_constant_colours_have_theirs(folder: Path) -> None:
    grey = chroma.as_table(chroma.measure_chroma(ConstantRunner(), pictures(folder), PLAN), 1.0)
    true = np.mean([np.hypot(*picture.ab).mean() for picture in pictures(folder)])
    assert grey["truth"] == pytest.approx(true, abs=0.01) and grey["photos"] == 3
    assert {n: row["ratio"] for n, row in grey["points"].items()} == {"0": 0, "2": 0}
    dull = chroma.as_table(chroma.measure_chroma(ConstantRunner((1.0, 1.0)), pictures(folder), PLAN), 1.0)
    for row in dull["points"].values():
        assert row["mean"] == pytest.approx(np.sqrt(2), abs=0.3)
        assert row["ratio"] == pytest.approx(row["mean"] / dull["truth"], abs=1e-3)


def test_vivid_pictures_are_more_colourful_and_other_networks_are_refused(folder: Path, tmp_path: Path, capsys) -> None:
    found: dict[str, Any] = {}
    arguments = ["bench", "accuracy", "--photos", str(folder), "--hints", "0", "--chroma", "--device", "cpu"]
    for vivid in ("1", "1.3"):
        file = tmp_path / "accuracy.json"
        main([*arguments, "--vivid", vivid, "--json", str(file)])
        assert "mean chroma of 3 photographs" in capsys.readouterr().out
        found[vivid] = json.loads(file.read_text())
    assert [table["vivid"] for table in found.values()] == [1, 1.3]
    ratios = [table["chroma"]["points"]["0"]["ratio"] for table in found.values()]
    assert ratios[0] < ratios[1] <= 1.31 * ratios[0]
    assert found["1"]["psnr"] != found["1.3"]["psnr"]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--vivid", "much"])
    assert end.value.code == 2
    assert "is not a number" in capsys.readouterr().err
    with pytest.raises(HintRejected, match="vivid must be 1"):
        chroma.measure_chroma(ConstantRunner(), pictures(folder), Plan(PROTOCOLS["zhang17"], (0,), vivid=1.3))
