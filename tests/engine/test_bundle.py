"""Bundles: verified before use, written whole or not at all."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec
import pytest
from livetint.engine.bundle import MANIFEST, Bundle, InputTable, Manifest, manifest_text, write_bundle
from livetint.engine.errors import LivetintError, ModelFileError, OutputError
from livetint.engine.models import bundled_folder, find_model, known_models

from ..disk import watch_disk


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        name="tiny", network="siggraph17", version="1", licence="MIT", data="none", trained=False,
        input=InputTable(), stages={"colour": "colour.onnx"},
    )  # fmt: skip


@pytest.fixture
def touch(tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundled_folder() / "touch", tmp_path / "touch"))


def test_a_written_bundle_can_be_loaded(tmp_path, manifest):
    written = write_bundle(tmp_path / "tiny", manifest, {"colour.onnx": b"graph"})
    read = Bundle.load(tmp_path / "tiny")
    assert read.manifest == written.manifest
    assert read.stage("colour") == b"graph"
    assert read.has("colour") and not read.has("touch")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny"]


def test_a_bundle_is_replaced_as_a_whole(tmp_path, manifest):
    write_bundle(tmp_path / "tiny", manifest, {"colour.onnx": b"old", "ranges.json": b"{}"})
    write_bundle(tmp_path / "tiny", manifest, {"colour.onnx": b"new"})
    assert sorted(p.name for p in (tmp_path / "tiny").iterdir()) == ["colour.onnx", MANIFEST]
    assert Bundle.load(tmp_path / "tiny").stage("colour") == b"new"


def test_other_folders_are_not_overwritten(tmp_path, manifest):
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(OutputError, match="not a model bundle"):
        write_bundle(tmp_path, manifest, {"colour.onnx": b"graph"})
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("file", ["encoder.onnx", "touch.onnx", "distribution.onnx"])
def test_a_changed_byte_is_detected(touch, file):
    data = bytearray((touch / file).read_bytes())
    data[len(data) // 2] ^= 1
    (touch / file).write_bytes(data)
    with pytest.raises(ModelFileError, match=re.escape(file) + r".* is damaged"):
        Bundle.load(touch)


def test_a_missing_file_and_a_missing_manifest_are_named(touch):
    (touch / "touch.onnx").unlink()
    with pytest.raises(ModelFileError, match=r"touch\.onnx cannot be read"):
        Bundle.load(touch)
    (touch / MANIFEST).unlink()
    with pytest.raises(ModelFileError, match=r"no model\.toml"):
        Bundle.load(touch)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 9", "schema is 9"),
        ('kind = "hints"', 'kind = "wishes"', "wishes"),
        ('kind = "hints"', 'knid = "hints"', "knid"),
        ('touch = "touch.onnx"', 'touch = "../touch.onnx"', "not listed"),
        ('bins = "in-gamut-313"', 'bins = "hex"', "hex"),
        ('restorer = "restorer.onnx"', 'restorer = "other.onnx"', "other.onnx is not listed"),
        ("[input]", "[input", "TOML"),
        ("trained = true", 'trained = "yes"', "bool"),
    ],
)
def test_an_invalid_manifest_is_refused(touch, old, new, message):
    text = (touch / MANIFEST).read_text()
    assert old in text
    (touch / MANIFEST).write_text(text.replace(old, new))
    with pytest.raises(ModelFileError, match=message):
        Bundle.load(touch)


@pytest.mark.parametrize(("backbone", "line"), [("", 'network = "touch"'), ("lite2", '[network]\nname = "touch"')])
def test_the_backbone_stands_beside_the_networks_name(tmp_path, manifest, backbone, line):
    named = msgspec.structs.replace(manifest, network="touch", backbone=backbone)
    write_bundle(tmp_path / "tiny", named, {"colour.onnx": b"graph"})
    assert line in (tmp_path / "tiny" / MANIFEST).read_text()
    read = Bundle.load(tmp_path / "tiny").manifest
    assert (read.network, read.backbone) == ("touch", backbone)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[network]\nbackbone = "lite2"', r"\[network\] has no name"),
        ('[network]\nname = "touch"\nbone = "lite2"', r"\[network\] has the unknown key bone"),
        ('[network]\nname = "touch"\nbackbone = 2', "str"),
    ],
)
def test_a_wrong_network_table_is_named(tmp_path, manifest, table, message):
    folder = tmp_path / "tiny"
    write_bundle(folder, manifest, {"colour.onnx": b"graph"})
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('network = "siggraph17"\n', "") + f"\n{table}\n")
    with pytest.raises(ModelFileError, match=message):
        Bundle.load(folder)


def test_files_outside_the_folder_are_refused(tmp_path, manifest):
    folder = tmp_path / "tiny"
    write_bundle(folder, manifest, {"colour.onnx": b"graph"})
    escaping = msgspec.structs.replace(manifest, stages={"colour": "../secret"}, files={"../secret": "0" * 64})
    (folder / MANIFEST).write_bytes(manifest_text(escaping))
    with pytest.raises(ModelFileError, match="plain file name"):
        Bundle.load(folder)


def test_models_are_found_by_name_and_by_folder(touch):
    assert "touch" in known_models()
    assert find_model("touch").name == find_model(touch).name == "touch"
    with pytest.raises(ModelFileError, match="did you mean touch"):
        find_model("tuoch")
    with pytest.raises(LivetintError, match="known are"):
        find_model("zzzz")


def test_the_bundled_model_is_at_most_16_mb_and_has_a_model_card():
    bundle = find_model("touch")
    assert sum(map(len, bundle.files.values())) <= 16 * 2**20
    assert bundle.manifest.trained and bundle.manifest.input.max_hints == 128
    assert "MODEL_CARD.md" in bundle.files


def test_a_bundle_is_synced_before_its_rename_and_the_old_one_is_removed_last(tmp_path, manifest, monkeypatch):
    write_bundle(tmp_path / "tiny", manifest, {"colour.onnx": b"old"})
    log = watch_disk(monkeypatch, tmp_path)
    write_bundle(tmp_path / "tiny", manifest, {"colour.onnx": b"new"})
    renamed = next(place for place, (kind, _) in enumerate(log.events) if kind != "sync")
    assert {name for _, name in log.events[:renamed]} == {"temporary/colour.onnx", f"temporary/{MANIFEST}", "temporary"}
    assert log.events[renamed][1] == "tiny" and log.events[-1] == ("sync", ".")


def test_a_file_in_the_place_of_a_bundle_is_refused(tmp_path, manifest):
    (tmp_path / "tiny").write_bytes(b"something else")
    with pytest.raises(OutputError, match="is a file"):
        write_bundle(tmp_path / "tiny", manifest, {"colour.onnx": b"graph"})


def test_only_a_model_with_an_encoder_can_have_a_restorer(tmp_path, manifest):
    folder = tmp_path / "tiny"
    named = msgspec.structs.replace(manifest, restorer="restorer.onnx")
    write_bundle(folder, named, {"colour.onnx": b"graph", "restorer.onnx": b"graph"})
    with pytest.raises(ModelFileError, match="a model with an encoder"):
        Bundle.load(folder)
