"""The page's scripts pass the type check of their JSDoc comments."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ..needs import needs

WEB = Path(__file__).parents[2] / "kiosk" / "web"


@needs("tsc")
def test_the_types_in_the_comments_are_right() -> None:
    options = "--noEmit --allowJs --checkJs --strict --target es2022 --module es2022 --moduleResolution bundler"
    command = ["tsc", *options.split(), "--lib", "es2022,dom,dom.iterable", str(WEB / "main.js")]
    command += map(str, [WEB / "wall.js", *sorted(WEB.glob("staff/*.js")), *sorted(WEB.glob("touch/*.js"))])
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout == ""
    assert result.returncode == 0
