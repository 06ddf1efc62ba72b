"""Photographs a second, in one process and in several."""

from __future__ import annotations

from pathlib import Path

import pytest
from livetint.bench.archive import as_lines, measure_archive
from livetint.engine.bundle import Bundle
from livetint.engine.errors import ConfigError

from ..archive.photographs import write_photographs
from ..kiosk.stub_bundle import write_stub_bundle


def test_all_ways_are_measured_in_every_round(tmp_path: Path):
    bundle = Bundle.load(write_stub_bundle(tmp_path / "stub"))
    write_photographs(tmp_path / "photos", 2)
    result = measure_archive(bundle, "cpu", tmp_path / "photos", 3, (1,), 2)
    assert set(result["rates"]) == {"one process", "--jobs 1"}
    assert all(len(rates) == 2 and min(rates) > 0 for rates in result["rates"].values())
    assert "3 photographs, medians of 2 rounds in turns" in as_lines(result)


def test_a_folder_without_photographs_is_refused(tmp_path: Path):
    bundle = Bundle.load(write_stub_bundle(tmp_path / "stub"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no photograph"):
        measure_archive(bundle, "cpu", tmp_path / "empty", 3, (1,), 1)
