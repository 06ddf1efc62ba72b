"""Exhibitions: a folder of pictures and a list."""

from __future__ import annotations

from pathlib import Path

import pytest
from livetint.engine.errors import ConfigError
from livetint.kiosk.server.gallery import bundled_photos, check_gallery, load_gallery
from livetint.kiosk.settings import LANGUAGES
from PIL import Image


def picture(folder: Path, name: str, grey: int = 90) -> None:
    Image.new("L", (64, 48), grey).save(folder / name)


def test_the_bundled_photographs_are_an_exhibition_in_order() -> None:
    gallery = load_gallery(bundled_photos())
    assert len(gallery) >= 5
    assert all(len(key) == 16 for key in gallery)
    assert check_gallery(bundled_photos(), 64) == []


def test_a_folder_without_a_list_shows_its_pictures_by_name(tmp_path: Path) -> None:
    picture(tmp_path, "b_second.png", 10)
    picture(tmp_path, "a-first.png", 20)
    assert [p.record.title for p in load_gallery(tmp_path).values()] == ["a first", "b second"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("schema = 1\n[[photograph]]\nfile = 'a.png'\ntitle = 'A'\nyaer = '1930'", "yaer"),
        ("schema = 1\n[[photograph]]\nfile = 'missing.png'\ntitle = 'A'", "missing.png"),
        ("schema = 1\n[[photograph]]\nfile = '../outside.png'\ntitle = 'A'", "out of the folder"),
        ("schema = 1\n[[photograph]]\nfile = 'a.png'\ntitle = 'A'\nhints = [[2.0, 0.5, 0.0, 0.0]]", "outside"),
        ("nonsense [", "not readable TOML"),
    ],
)
def test_a_bad_list_is_refused_in_words(tmp_path: Path, text: str, expected: str) -> None:
    folder = tmp_path / "show"
    folder.mkdir()
    picture(folder, "a.png")
    picture(tmp_path, "outside.png")
    (folder / "photographs.toml").write_text(text)
    with pytest.raises(ConfigError, match=expected):
        load_gallery(folder)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "show"
    folder.mkdir()
    picture(tmp_path, "secret.png")
    (folder / "a.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ConfigError, match="out of the folder"):
        load_gallery(folder)


def test_staff_are_told_of_every_picture_that_does_not_open(tmp_path: Path) -> None:
    picture(tmp_path, "fine.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    problems = check_gallery(tmp_path, 64)
    assert len(problems) == 1
    assert "broken.jpg" in problems[0]
    assert check_gallery(tmp_path / "nowhere", 64)


def test_the_bundled_photographs_speak_every_language_and_suggest_points() -> None:
    for shown in load_gallery(bundled_photos()).values():
        assert shown.record.titles.keys() == set(LANGUAGES) == shown.record.captions.keys(), shown.record.file
        assert len(shown.record.hints) >= 4


def test_captions_are_read_from_a_file_for_each_language(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    picture(tmp_path, "b.png", 20)
    (tmp_path / "captions.de.toml").write_text('["a.png"]\ntitle = "Der Hafen"\ncaption = "Am Morgen."\n')
    first, second = load_gallery(tmp_path).values()
    told = first.for_visitors()
    assert (told["titles"], told["captions"]) == ({"de": "Der Hafen"}, {"de": "Am Morgen."})
    assert second.record.titles == {}
    assert check_gallery(tmp_path, 64) == ["captions.de.toml: nothing is said of b.png"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("captions.xx.toml", "", "no language 'xx'"),
        ("captions.de.toml", '["a.pgn"]\ntitle = "A"', "did you mean a.png"),
        ("captions.de.toml", '["a.png"]\ntitel = "A"', "titel"),
        ("captions.de.toml", '["a.png"]\ncaption = "A"', "title"),
        ("captions.de.toml", "nonsense [", "not readable TOML"),
    ],
)
def test_bad_captions_are_refused_in_words(tmp_path: Path, name: str, text: str, expected: str) -> None:
    picture(tmp_path, "a.png")
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=expected):
        load_gallery(tmp_path)
    assert check_gallery(tmp_path, 64)
