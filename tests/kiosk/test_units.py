"""What staff install: systemd units, the browser's policy, the languages."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from livetint.kiosk.server.fonts import in_words, languages_without_glyphs
from livetint.kiosk.server.page import PageWatch
from livetint.kiosk.server.usage import Usage
from livetint.kiosk.settings import LANGUAGES

from ..needs import needs

KIOSK = Path(__file__).parents[2] / "kiosk"
SYSTEM = KIOSK / "system"


@needs("systemd-analyze")
def test_the_units_verify(tmp_path: Path) -> None:
    """With programs that exist everywhere in the place of those the guide installs."""
    for unit in SYSTEM.iterdir():
        if unit.suffix in (".service", ".timer"):
            text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE)
            (tmp_path / unit.name).write_text(text)
    units = sorted(map(str, tmp_path.iterdir()))
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
    ours = [line for line in result.stderr.splitlines() if "livetint" in line]
    assert ours == []
    (tmp_path / "livetint.service").write_text("[Service]\nExecStart=/bin/true\nWatchdog=20\n")
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "livetint.service")]
    assert "Watchdog" in subprocess.run(command, capture_output=True, text=True).stderr  # it does look


def test_the_guide_installs_every_unit_and_the_units_name_each_other() -> None:
    guide = (KIOSK.parent / "docs/kiosk.md").read_text("utf-8")
    names = {path.name for path in SYSTEM.iterdir()}
    for timer in SYSTEM.glob("*.timer"):
        assert f"{timer.stem}.service" in names
        assert timer.name in guide
    for unit in SYSTEM.glob("*.service"):
        assert set(re.findall(r"livetint[a-z-]*\.service", unit.read_text())) <= names


def test_the_policy_lets_only_the_kiosk_in() -> None:
    policy = json.loads((SYSTEM / "chromium-policy.json").read_text())
    assert policy["URLBlocklist"] == ["*"]
    assert policy["URLAllowlist"] == ["http://127.0.0.1:8017"]


def test_every_language_has_every_word_and_its_placeholders() -> None:
    english = json.loads((KIOSK / "web/languages/en.json").read_text("utf-8"))
    for language in LANGUAGES:
        words = json.loads((KIOSK / f"web/languages/{language}.json").read_text("utf-8"))
        assert words.keys() == english.keys(), language
        assert all(words.values()), language
        assert all("{colour}" in words[key] for key in words if key.startswith("shade_")), language


def test_every_word_the_page_uses_is_in_the_files() -> None:
    english = json.loads((KIOSK / "web/languages/en.json").read_text("utf-8"))
    html = (KIOSK / "web/index.html").read_text("utf-8")
    scripts = "".join(path.read_text("utf-8") for path in (KIOSK / "web").glob("*.js"))
    used = set(re.findall(r'data-(?:words|label)="(\w+)"', html)) | set(
        re.findall(r"(?:translate|setVeil)\('(\w+)'\)", scripts)
    )
    assert {"moment", "busy", "coach"} <= used, "words are found in the scripts and in the page"
    assert used <= english.keys()


def test_nothing_is_fetched_from_elsewhere() -> None:
    for path in (KIOSK / "web").rglob("*"):
        if path.is_file():
            found = set(re.findall(rb"https?://[\w.]+", path.read_bytes())) - {b"http://www.w3.org"}
            assert not found, path


def test_doctor_names_languages_without_glyphs_and_the_packages_that_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert languages_without_glyphs() is None
    stand_in = tmp_path / "fc-list"
    stand_in.write_text('#!/bin/sh\ncase "$1" in :lang=ja|:lang=ar) ;; *) echo "Noto Sans";; esac\n')
    stand_in.chmod(0o755)
    assert languages_without_glyphs() == ["ja", "ar"]
    assert in_words(["ja", "ar"]) == "no glyphs for ja, ar; sudo apt-get install fonts-noto-cjk fonts-noto-core"
    stand_in.write_text("#!/bin/sh\nexit 1\n")
    assert "cannot tell" in in_words(languages_without_glyphs())


def test_life_of_tablets_does_not_hide_a_browser_of_this_machine_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    page = PageWatch()
    now = page.started_s + 100
    monkeypatch.setattr(time, "monotonic", lambda: now)
    page.beat(own=False)
    assert not page.lost, "no page of this machine was ever seen: the exhibit is tablets alone"
    page.beat(own=True)
    now += 20
    page.beat(own=False)
    assert page.lost


def test_a_photograph_is_opened_once_in_a_visit_whatever_other_screens_paint_meanwhile() -> None:
    usage = Usage(("a", "b"))
    for _ in range(3):
        usage.edited("a", 1)
        usage.edited("b", 2, 5)
        usage.edited("a", 3)
    assert (usage.opens, usage.edits) == ({"a": 2, "b": 1}, {"a": 6, "b": 15})
    usage.end_visit(1)
    usage.edited("a", 1)
    usage.edited("a", 3)
    assert usage.opens["a"] == 3


def test_a_picture_that_is_saved_to_three_places_is_saved_once() -> None:
    usage = Usage(("a",))
    for edit in ("blue", "blue", "blue", "red", "blue"):
        usage.saved("a", 1, edit)
    usage.saved("a", 2, "blue")
    usage.end_visit(1)
    usage.saved("a", 1, "blue")
    assert usage.saves["a"] == 5


def test_a_page_without_life_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    page = PageWatch()
    now = page.started_s
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for seconds, beaten, lost in ((30, False, False), (61, False, True), (62, True, False), (78, False, True)):
        now = page.started_s + seconds
        if beaten:
            page.beat(own=True)
        assert page.lost is lost, seconds
