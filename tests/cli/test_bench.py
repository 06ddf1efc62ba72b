"""`livetint bench`: nonsense is refused in one line with exit code 2, results are written whole."""

from __future__ import annotations

import json

import pytest
from livetint.cli.__main__ import main
from livetint.cli.bench import accuracy, latency

from ..bench.stubs import ConstantRunner, hasten, write_photos


@pytest.fixture
def call(capsys, monkeypatch):
    hasten(monkeypatch)
    monkeypatch.setattr(accuracy, "open_runner", lambda model, device: ConstantRunner((3.0, 4.0)))
    monkeypatch.setattr(latency, "open_runner", lambda model, device, threads: ConstantRunner((3.0, 4.0)))

    def run(*arguments):
        code = 0
        try:
            main(["bench", *map(str, arguments)])
        except SystemExit as leaving:
            code = leaving.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos", 2)


def test_accuracy_prints_a_table_and_writes_json(call, photos, tmp_path):
    code, out, err = call("accuracy", "--photos", photos, "--hints", "0,2", "--json", tmp_path / "a.json")
    assert (code, err) == (0, "")
    assert "gain over grey" in out
    table = json.loads((tmp_path / "a.json").read_text())
    assert table["photos"] == 2 and set(table["psnr"]) == {"0", "2"}
    assert {"model", "model_sha256", "versions", "machine", "gray"} <= set(table)


def test_latency_writes_json(call, tmp_path):
    code, out, _ = call("latency", "--hints", "2", "--touches", "8", "--threads", "1", "--json", tmp_path / "l.json")
    assert code == 0 and "touch_to_ab_2" in out
    table = json.loads((tmp_path / "l.json").read_text())
    assert table["threads"] == 1 and "touch_to_pixels_4k_2" in table["stages"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("accuracy",), "--photos"),
        (("accuracy", "--photos", "PHOTOS", "--hints", "1,x"), "whole numbers"),
        (("accuracy", "--photos", "PHOTOS", "--hints", ""), "empty"),
        (("accuracy", "--photos", "PHOTOS", "--hints", "-1"), "out of range"),
        (("accuracy", "--photos", "nowhere"), "neither a folder"),
        (("accuracy", "--photos", "EMPTY"), "holds no photographs"),
        (("accuracy", "--photos", "PHOTOS", "--baselines", "grey,lewin"), "lewin"),
        (("accuracy", "--photos", "PHOTOS", "--protocol", "own"), "own"),
        (("accuracy", "--photos", "PHOTOS", "--limit", "0"), "limit"),
        (("accuracy", "--photos", "PHOTOS", "--json", "missing/f.json"), "does not exist"),
        (("accuracy", "--photos", "PHOTOS", "--json", "EMPTY"), "is a folder"),
        (("latency", "--hints", "129"), "at most 128"),
        (("latency", "--touches", "1"), "touches"),
        (("latency", "--threads", "0"), "threads"),
        (("latency", "--threads", "two"), "threads"),
        (("latency", "--threads", "1,100000"), "the CPU cores here"),
        (("latency", "--scenario", "after-idle", "--peers"), "single-stream only"),
        (("latency", "--against", "nosuchmodel"), "nosuchmodel"),
        (("latency", "--scenario", "open-loop", "--against", "siggraph17"), "single-stream only"),
        (("latency", "--scenario", "sometimes"), "sometimes"),
    ],
)
def test_nonsense_is_refused_in_one_line(call, photos, tmp_path, monkeypatch, arguments, word):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    places = {"PHOTOS": photos, "EMPTY": tmp_path / "empty"}
    code, out, err = call(*[places.get(argument, argument) for argument in arguments])
    assert code == 2 and out == ""
    assert word in err and err.count("\n") == 1
    assert not list(tmp_path.glob("*.json"))
