"""`livetint video`: what it says, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from livetint.cli.__main__ import main

from ..kiosk.stub_bundle import write_stub_bundle
from ..needs import import_or_skip
from ..video.files import decoded, moving_frames, write_video

import_or_skip("av")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [*moving_frames(5), *moving_frames(5, seed=5)]
    return write_video(tmp_path_factory.mktemp("clip") / "in.mp4", frames)


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_stub_bundle(tmp_path_factory.mktemp("bundle") / "stub"))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    try:
        main(["video", *map(str, arguments)])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_hints_colour_the_video_and_it_is_said_where_they_ended(
    clip: Path, stub: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    hints, output = tmp_path / "hints.json", tmp_path / "out.mp4"
    table = {
        "schema": 1,
        "hints": [{"x": 0.5, "y": 0.5, "a": 60, "b": 40, "size": 9}, {"x": 0, "y": 0, "a": 0, "b": 0, "t": 9}],
    }
    hints.write_text(json.dumps(table))
    code, out, err = run(capsys, clip, "-o", output, "--hints", hints, "--model", stub)
    assert code == 0 and out == ""
    assert "hint 0 ended at 0.200 s (frame 5)" in err and "the shot changes" in err
    assert "never used, because they start after the end: hints 1\n" in err
    assert f"{output}: 10 frames of 96 × 64 pixels, 2 shots, AV1 by libsvtav1 (BSD), " in err
    _, frames = decoded(output)
    red = [int(rgb[32, 48, 0]) - int(rgb[32, 48, 2]) for rgb in frames]
    assert red[0] > red[9] + 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hints.json", "out.mp4", "out.mp4.shots.jpg"]
    code, _, err = run(capsys, clip, "-o", output, "--model", stub)
    assert code == 2 and "is there already" in err


def test_where_names_frames_and_places(clip: Path, capsys: pytest.CaptureFixture[str]):
    code, out, _ = run(capsys, clip, "--where", "--count", 4, "--json")
    places = json.loads(out)
    assert code == 0 and len(places) == 4
    assert {place["frame"] for place in places} == {0, 5} and {place["frames"] for place in places} == {5}
    assert all(0 <= place["x"] <= 1 and 0 <= place["y"] <= 1 for place in places)
    assert [place["worth"] for place in places] == sorted((place["worth"] for place in places), reverse=True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give either the video to write (-o coloured.mp4) or --where"),
        (["-o", "out.mp4", "--where"], "give either the video to write"),
        (["-o", "out.gif"], "choose one that ends in .mp4, .mkv, .webm"),
        (["-o", "out.mp4", "--sheet", "sheet.odd"], ".odd"),
        (["-o", "out.mp4", "--vivid", "9"], "vivid 9 is not possible"),
        (["-o", "missing/out.mp4"], "the folder missing does not exist"),
        (["-o", "out.mp4", "--hints", "none.json"], "none.json cannot be read"),
    ],
)
def test_mistakes_end_in_one_line(
    clip: Path,
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, clip, *arguments)
    assert (code, out) == (2, "") and sentence in err
    assert err.startswith("livetint: ") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_original_is_not_replaced(clip: Path, capsys: pytest.CaptureFixture[str]):
    before = clip.read_bytes()
    code, _, err = run(capsys, clip, "-o", clip, "--overwrite")
    assert code == 2 and "which would be lost" in err
    assert clip.read_bytes() == before
