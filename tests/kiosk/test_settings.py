"""Settings: one table, documented, strict."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from livetint.engine.errors import ConfigError
from livetint.kiosk.settings import Settings, every_setting, load_settings

DOCS = Path(__file__).parents[2] / "docs" / "kiosk.md"


def test_defaults_need_no_file() -> None:
    assert load_settings(None) == Settings()


def test_every_setting_is_documented_with_its_default_and_help() -> None:
    text = DOCS.read_text("utf-8")
    for name, default, help_text in every_setting():
        shown = list(default) if isinstance(default, tuple) else default
        value = tomli_w.dumps({"v": shown}, multiline_strings=False).removeprefix("v = ").strip()
        value = " ".join(value.split()).replace("[ ", "[").replace(", ]", "]")
        assert f"| `{name}` | `{value}` | {help_text} |" in text, name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[visitors]\nidel_s = 3", "did you mean idle_s"),
        ("[visitor]\nidle_s = 3", "did you mean visitors"),
        ("[server]\nport = 70000", "server.port"),
        ("[server]\nport = 'a'", "server.port"),
        ("server = 3", "server is a table"),
        ("[server\n", "line 1"),
        ("[visitors]\nlanguage = 'xx'", "there is no language"),
        ("[hours]\nopens = '09:00'", "both opens and closes"),
        ("[hours]\nopens = '25:00'\ncloses = '26:00'", "hours.opens"),
        ("[operator]\ntoken = 'short'", "at least 12"),
        ("[saving]\nfolder = '/nowhere/at/all'", "is no folder"),
    ],
)
def test_a_bad_file_is_refused_in_words(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "kiosk.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=expected):
        load_settings(path)


@given(st.binary(max_size=200))
def test_no_file_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "kiosk.toml"
    path.write_bytes(data)
    try:
        load_settings(path)
    except ConfigError as error:
        assert str(path) in str(error)
