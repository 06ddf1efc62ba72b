"""The command line from the outside: pictures written, suggestions printed, every mistake in one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import struct
import zlib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from livetint.cli.__main__ import main
from livetint.cli.commands import COMMANDS
from livetint.engine.colour.cielab import project_into_gamut, srgb_to_lab
from livetint.engine.colour.metrics import delta_e
from livetint.engine.colour.text import parse_colour
from livetint.engine.models import bundled_folder
from livetint.engine.runners.tensorrt import plan_folder
from livetint.engine.runners.tensorrt.plan_folder import PlanManifest
from PIL import Image

PHOTOS = bundled_folder().parent / "photos"
HOUSE, COFFEE = PHOTOS / "abandoned-dust-bowl-home.jpg", PHOTOS / "coffee.jpg"


def livetint(capsys, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    try:
        main([str(a) for a in arguments])
        code = 0
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def lab_of(path: Path) -> np.ndarray:
    return srgb_to_lab(np.asarray(Image.open(path).convert("RGB")).astype(np.float64) / 255)


def test_colorize_meets_every_hint_at_full_size(capsys, tmp_path):
    out = tmp_path / "out.png"
    wanted_colours = {(120, 100): "#B03020", (420, 90): "#3060B0", (300, 330): "#50A040"}
    hints = [f for (x, y), colour in wanted_colours.items() for f in ("--hint", f"{x},{y},{colour}")]
    code, said, line = livetint(capsys, "colorize", COFFEE, "-o", out, *hints)
    assert (code, said) == (0, "")
    assert re.fullmatch(rf"{re.escape(str(out))}: 600 × 400 pixels, \d+\.\d s on the CPU\n", line)
    assert b"compositeWithTrainedAlgorithmicMedia" in out.read_bytes()
    lab, grey = lab_of(out), lab_of(COFFEE)
    assert lab.shape == grey.shape
    for (x, y), colour in wanted_colours.items():
        wanted = srgb_to_lab(parse_colour(colour))
        wanted[0] = grey[y, x, 0]
        assert delta_e(lab[y, x], project_into_gamut(wanted)) <= 3


def test_a_hint_colours_only_where_its_mask_is_white(capsys, tmp_path):
    mask, plain, kept = tmp_path / "mask.png", tmp_path / "plain.png", tmp_path / "kept.png"
    white = np.zeros((200, 300), np.uint8)  # half the photograph's size
    white[40:120, 80:200] = 255
    Image.fromarray(white).save(mask)
    hint = ("--hint", "280,160,#3050D0", "--inside", mask)
    assert livetint(capsys, "colorize", COFFEE, "-o", plain)[0] == 0
    assert livetint(capsys, "colorize", COFFEE, "-o", kept, *hint, "--save-hints", tmp_path / "h.json")[0] == 0
    moved = delta_e(lab_of(plain), lab_of(kept))
    inside = np.kron(white, np.ones((2, 2))) > 0
    assert np.median(moved[inside]) > 20
    inside[75:245, 155:405] = True
    assert moved[~inside].max() == 0
    again = tmp_path / "again.png"
    assert livetint(capsys, "colorize", COFFEE, "-o", again, "--hints", tmp_path / "h.json")[0] == 0
    np.testing.assert_array_equal(np.asarray(Image.open(again)), np.asarray(Image.open(kept)))


@pytest.mark.parametrize(
    ("size", "value", "hint", "words"),
    [
        ((300, 200), 0, True, "the mask is empty; white is where hints may colour"),
        ((300, 300), 255, True, "a mask has the shape of its photograph"),
        ((300, 200), 255, False, "--inside is for the hints of --hint, and there is none"),
    ],
)
def test_masks_that_say_nothing_are_refused(capsys, tmp_path, size, value, hint, words):
    Image.new("L", size, value).save(tmp_path / "mask.png")
    hints = ("--hint", "280,160,#3050D0") if hint else ()
    code, _, line = livetint(
        capsys, "colorize", COFFEE, "-o", tmp_path / "o.png", "--inside", tmp_path / "mask.png", *hints
    )
    assert (code, line.count("\n")) == (2, 1) and words in line and not (tmp_path / "o.png").exists()


def test_hints_survive_a_file(capsys, tmp_path):
    first, second, hints = tmp_path / "a.png", tmp_path / "b.png", tmp_path / "hints.json"
    code, _, _ = livetint(
        capsys, "colorize", COFFEE, "-o", first, "--hint", "100,100,#808080,9", "--saturation", "0.6",
        "--save-hints", hints,
    )  # fmt: skip
    assert code == 0
    table = json.loads(hints.read_text())
    assert table["hints"][0]["size"] == 9 and abs(table["hints"][0]["a"]) < 0.01
    assert table["global"]["saturation"] == 0.6
    assert livetint(capsys, "colorize", COFFEE, "-o", second, "--hints", hints)[0] == 0
    assert first.read_bytes() == second.read_bytes()


def test_vivid_and_strength_reach_the_picture_and_the_file_of_hints(capsys, tmp_path):
    plain, vivid, grey, again, hints = (tmp_path / name for name in ("a.png", "b.png", "c.png", "d.png", "h.json"))
    assert livetint(capsys, "colorize", COFFEE, "-o", plain)[0] == 0
    assert livetint(capsys, "colorize", COFFEE, "-o", vivid, "--vivid", 1.4, "--save-hints", hints)[0] == 0
    assert livetint(capsys, "colorize", COFFEE, "-o", grey, "--hints", hints, "--strength", 0)[0] == 0
    assert livetint(capsys, "colorize", COFFEE, "-o", again, "--hints", hints)[0] == 0
    table = json.loads(hints.read_text())
    assert (table["vivid"], table["strength"]) == (1.4, 1)
    chroma = [np.hypot(*lab_of(path)[..., 1:].transpose(2, 0, 1)).mean() for path in (plain, vivid, grey)]
    assert chroma[1] > 1.2 * chroma[0] and chroma[2] < 0.01
    assert again.read_bytes() == vivid.read_bytes()


def test_a_reference_changes_the_colours(capsys, tmp_path):
    plain, changed = tmp_path / "plain.png", tmp_path / "changed.png"
    livetint(capsys, "colorize", HOUSE, "-o", plain)
    assert livetint(capsys, "colorize", HOUSE, "-o", changed, "--reference", COFFEE)[0] == 0
    assert np.abs(lab_of(plain) - lab_of(changed)).max() > 2


def test_suggest_where_names_places_inside_the_photograph(capsys):
    code, out, _ = livetint(capsys, "suggest", COFFEE, "--where", "--count", 3)
    assert code == 0 and len(out.splitlines()) == 3
    code, out, _ = livetint(capsys, "suggest", COFFEE, "--where", "--count", 3, "--json")
    places = json.loads(out)
    assert len({(p["x"], p["y"]) for p in places}) == 3
    assert all(0 <= p["x"] < 600 and 0 <= p["y"] < 400 and p["worth"] > 0 for p in places)


def test_suggest_prints_swatches_the_current_colour_and_grey(capsys):
    code, out, _ = livetint(capsys, "suggest", COFFEE, "300,200", "--count", 5)
    lines = out.splitlines()
    assert code == 0 and len(lines) == 7
    assert all(parse_colour(line.split()[0]).shape == (3,) for line in lines)
    code, out, _ = livetint(capsys, "suggest", COFFEE, "300,200", "--json", "--hint", "310,205,#40A040")
    table = json.loads(out)
    assert code == 0 and len(table["swatches"]) == 9
    assert {"colour", "a", "b"} == set(table["first"])
    assert sum(s["confidence"] for s in table["swatches"]) == pytest.approx(1, abs=1e-2)


def test_help_names_every_command(capsys):
    code, out, _ = livetint(capsys, "--help")
    assert code == 0 and all(f"  {name}" in out for name in COMMANDS)


@pytest.mark.parametrize("group", [(), ("bench",), ("models",)])
def test_a_group_without_a_command_shows_its_help(capsys, group):
    assert livetint(capsys, *group) == livetint(capsys, *group, "--help")


def test_models_list_and_doctor(capsys):
    assert "touch" in livetint(capsys, "models", "list")[1]
    code, out, _ = livetint(capsys, "doctor", "--json")
    report = json.loads(out)
    assert code == 0 and report["healthy"] and report["models"]["touch"] == "sound"
    said = livetint(capsys, "doctor")[1]
    assert "ready" in said and "GPU " in said and "kernels " in said


def test_doctor_names_plans_in_the_cache_and_those_that_cannot_be_read(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(plan_folder, "plan_cache_folder", lambda: tmp_path)
    plans = PlanManifest("key", "touch", "tensorrt", "10.3.0", "8.7", "fp16", {}, {}, [])
    for name, data in (("good", msgspec.json.encode(plans)), ("bad", b"{"), ("no-plans", None)):
        (tmp_path / name).mkdir()
        if data is not None:
            (tmp_path / name / "plans.json").write_bytes(data)
    said = livetint(capsys, "doctor")[1]
    assert "plans     good: touch fp16, tensorrt 10.3.0, compute capability 8.7" in said
    assert "plans     bad: " in said and "cannot be read" in said and "no-plans" not in said


def png_header(width: int, height: int) -> bytes:
    def chunk(body: bytes) -> bytes:
        return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT" + zlib.compress(bytes(1000)))


@pytest.fixture
def bad(tmp_path) -> Path:
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("this is no picture")
    (tmp_path / "cut.jpg").write_bytes(COFFEE.read_bytes()[:9000])
    (tmp_path / "bomb.png").write_bytes(png_header(30000, 30000))
    (tmp_path / "large.png").write_bytes(png_header(12000, 12000))
    (tmp_path / "hints.json").write_text("{oops")
    (tmp_path / "edges.json").write_text('{"schema":1,"hints":[{"x":3,"y":0,"a":0,"b":0}]}')
    many = [{"x": 0.5, "y": i / 129, "a": 1, "b": 1} for i in range(129)]
    (tmp_path / "many.json").write_text(json.dumps({"schema": 1, "hints": many}))
    return tmp_path


MISTAKES = [
    (["colorize", "{bad}/missing.jpg", "-o", "{out}"], "does not exist"),
    (["colorize", "{bad}", "-o", "{out}"], "folder|directory"),
    (["colorize", "{bad}/empty.jpg", "-o", "{out}"], "empty"),
    (["colorize", "{bad}/text.jpg", "-o", "{out}"], "not a picture|no picture|cannot be opened|not an image"),
    (["colorize", "{bad}/cut.jpg", "-o", "{out}"], "truncated|cut|damaged|incomplete"),
    (["colorize", "{bad}/bomb.png", "-o", "{out}"], "megapixel"),
    (["colorize", "{bad}/large.png", "-o", "{out}"], "144 megapixel|megapixel"),
    (["colorize", "{photo}", "-o", "{bad}/nowhere/out.png"], "folder|directory"),
    (["colorize", "{photo}", "-o", "{out}", "--save-hints", "{bad}/nowhere/hints.json"], "folder|directory"),
    (["colorize", "{photo}", "-o", "{bad}/out.xyz"], "extension|xyz"),
    (["colorize", "{photo}", "-o", "{bad}/out"], "extension"),
    (["colorize", "{photo}", "-o", "{out}", "--hint", "600,10,#FF0000"], "outside"),
    (["colorize", "{photo}", "-o", "{out}", "--hint", "-1,10,#FF0000"], "outside"),
    (["colorize", "{photo}", "-o", "{out}", "--hint", "10,10,rot"], "#RRGGBB"),
    (["colorize", "{photo}", "-o", "{out}", "--hint", "10,10"], "not a hint"),
    (["colorize", "{photo}", "-o", "{out}", "--hint", "x,10,#FF0000"], "not a number"),
    (["colorize", "{photo}", "-o", "{out}", "--hint", "nan,10,#FF0000"], "finite"),
    (["colorize", "{photo}", "-o", "{out}", "--hint", "10,10,#FF0000,11"], "from 1 to 9"),
    (["colorize", "{photo}", "-o", "{out}", "--hint", "10,10,#FF0000,2.5"], "whole number"),
    (["colorize", "{photo}", "-o", "{out}", "--hints", "{bad}/hints.json"], "hints file"),
    (["colorize", "{photo}", "-o", "{out}", "--hints", "{bad}/edges.json"], "outside"),
    (["colorize", "{photo}", "-o", "{out}", "--hints", "{bad}/many.json"], "at most 128"),
    (["colorize", "{photo}", "-o", "{out}", "--saturation", "2"], "from 0 to 1"),
    (["colorize", "{photo}", "-o", "{out}", "--vivid", "3"], "vivid 3 is not possible; it runs from 0.5 to 2"),
    (["colorize", "{photo}", "-o", "{out}", "--strength", "-1"], "strength -1 is not possible; it runs from 0"),
    (["colorize", "{photo}", "-o", "{out}", "--reference", "{bad}/text.jpg"], "text.jpg"),
    (["colorize", "{photo}", "-o", "{out}", "--model", "tuoch"], "did you mean touch"),
    (["colorize", "{photo}", "-o", "{out}", "--device", "cuda"], "cpu"),
    (["colorize", "{photo}", "-o", "{out}", "--max-megapixels", "0.01"], "megapixel"),
    (["colorize", "{photo}"], "--output"),
    (["colorize", "{photo}", "-o", "{out}", "--colour", "x"], "--colour"),
    (["suggest", "{photo}", "10"], "not a point"),
    (["suggest", "{photo}", "10,9999"], "outside"),
    (["suggest", "{photo}", "10,10", "--count", "0"], "count"),
    (["suggest", "{photo}"], "either a point"),
    (["suggest", "{photo}", "10,10", "--where"], "either a point"),
    (["colourise"], "colourise"),
    (["train", "{bad}/missing.toml"], "does not exist"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES)
def test_mistakes_end_in_one_line_and_write_nothing(capsys, bad, arguments, said):
    before = sorted(p.name for p in bad.iterdir())
    places = {"bad": bad, "out": bad / "out.png", "photo": COFFEE}
    code, out, err = livetint(capsys, *(a.format(**places) for a in arguments))
    assert code == 2
    assert out == "" and err.count("\n") == 1 and err.startswith("livetint: ")
    assert re.search(said, err), err
    assert sorted(p.name for p in bad.iterdir()) == before


@pytest.fixture
def own(tmp_path) -> Path:
    """A folder with a photograph under several names, and a file of hints."""
    Image.open(COFFEE).resize((60, 40)).save(tmp_path / "self.jpg")
    (tmp_path / "soft.jpg").symlink_to("self.jpg")
    os.link(tmp_path / "self.jpg", tmp_path / "hard.jpg")
    (tmp_path / "hints.json").write_text('{"schema": 1, "hints": []}')
    (tmp_path / "hints.png").symlink_to("hints.json")
    return tmp_path


ORIGINALS = [(o, n) for o in ("-o", "--save-hints", "--reference") for n in ("self.jpg", "soft.jpg", "hard.jpg")]


@pytest.mark.parametrize(("option", "name"), [*ORIGINALS, ("-o", "hints.png")])
def test_an_original_is_never_replaced_unasked(capsys, own, option, name):
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    places = {"-o": own / "out.png", "--save-hints": own / "new.json", "--hints": own / "hints.json"}
    photo = own / "self.jpg"
    if option == "--reference":
        photo, places["--reference"], places["-o"] = COFFEE, own / "self.jpg", own / name
    else:
        places[option] = own / name
    arguments = [text for place in places.items() for text in place]
    code, _, err = livetint(capsys, "colorize", photo, *arguments)
    assert code == 2 and err.count("\n") == 1 and "would be lost" in err
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before


def test_the_two_results_need_two_places(capsys, own):
    code, _, err = livetint(capsys, "colorize", own / "self.jpg", "-o", own / "x.png", "--save-hints", own / "x.png")
    assert code == 2 and "same file" in err and not (own / "x.png").exists()


def test_overwrite_replaces_the_photograph_and_keeps_links_and_mode(capsys, own):
    before = (own / "self.jpg").read_bytes()
    (own / "self.jpg").chmod(0o640)
    assert livetint(capsys, "colorize", own / "self.jpg", "-o", own / "soft.jpg", "--overwrite")[:2] == (0, "")
    assert (own / "soft.jpg").is_symlink() and (own / "self.jpg").read_bytes() != before
    assert stat.S_IMODE((own / "self.jpg").stat().st_mode) == 0o640


def test_hints_may_be_saved_where_they_were_read(capsys, own):
    arguments = ("--hints", own / "hints.json", "--save-hints", own / "hints.json", "--hint", "9,9,#FF0000")
    assert livetint(capsys, "colorize", own / "self.jpg", "-o", own / "out.png", *arguments)[0] == 0
    assert len(json.loads((own / "hints.json").read_text())["hints"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["bench", "accuracy", "--photos", "{tar}", "--json", "{tar}"],
        ["bench", "sheets", "{tar}", "-o", "{png}"],
        ["bench", "readme-figure", "--photo", "{png}", "-o", "{png}"],
        ["bench", "report", "{tar}", "-o", "{tar}"],
        ["bench", "report", "{png}", "--compare", "{tar}", "--markdown", "{tar}"],
        ["calibrate", "touch", "--photos", "{tar}", "-o", "{tar}"],
        ["build", "{bundle}", "-o", "{bundle}", "--target", "onnxruntime"],
        ["models", "import", "{bundle}/weights.pth", "--as", "siggraph17", "-o", "{bundle}"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_no_command_replaces_what_it_reads(capsys, tmp_path, arguments):
    places = {"tar": tmp_path / "set.tar", "png": tmp_path / "set.png", "bundle": tmp_path / "bundle"}
    places["tar"].write_bytes(b"a tar")
    places["png"].symlink_to("set.tar")
    shutil.copytree(bundled_folder() / "touch", places["bundle"])
    (places["bundle"] / "weights.pth").touch()
    code, _, err = livetint(capsys, *(argument.format(**places) for argument in arguments))
    assert code == 2 and "would be lost" in err and err.count("\n") == 1
    assert places["tar"].read_bytes() == b"a tar" and (places["bundle"] / "weights.pth").exists()


def test_a_full_disk_keeps_the_old_picture(capsys, tmp_path, monkeypatch):
    out = tmp_path / "out.png"
    out.write_bytes(b"the old picture")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    code, _, err = livetint(capsys, "colorize", COFFEE, "-o", out)
    assert code == 2 and "No space left" in err
    assert out.read_bytes() == b"the old picture"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def test_what_was_assumed_of_a_photograph_is_said(capsys, tmp_path):
    Image.fromarray(np.linspace(0, 1.03, 2400, dtype=np.float32).reshape(40, 60)).save(tmp_path / "scan.tif")
    code, out, err = livetint(capsys, "colorize", tmp_path / "scan.tif", "-o", tmp_path / "out.png")
    assert (code, out) == (0, "") and err.count("\n") == 2
    assert re.match(r"livetint: note: .*scan\.tif: its values run from 0 to 1\.03; 0 is taken as black and 1 as", err)
