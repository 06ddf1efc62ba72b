"""A file with every setting, as version 0.1.0 knew them, is still read, and each value arrives."""

from __future__ import annotations

from pathlib import Path

import msgspec
from livetint.engine.files import read_toml
from livetint.kiosk.settings import load_settings

SETTINGS = Path(__file__).parent / "recorded/settings.toml"


def test_every_setting_of_0_1_0_is_read():
    found = msgspec.to_builtins(load_settings(SETTINGS))
    for table, settings in read_toml(SETTINGS).items():
        for key, value in settings.items():
            assert list(found[table][key]) == value if isinstance(value, list) else found[table][key] == value
