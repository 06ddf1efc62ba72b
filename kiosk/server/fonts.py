"""Whether this machine has glyphs for the languages of the page, as fontconfig (and so the browser) sees it."""

from __future__ import annotations

import shutil
import subprocess

from ..settings import LANGUAGES

# fontconfig's name of a language where it differs from ours.
_TAGS = {"zh": "zh-cn"}
PACKAGES = {"zh": "fonts-noto-cjk", "ja": "fonts-noto-cjk"}
DEFAULT_PACKAGE = "fonts-noto-core"
DEADLINE_S = 20


def languages_without_glyphs() -> list[str] | None:
    """Languages of the kiosk for which no font is installed, or None where fontconfig is missing or fails."""
    if not shutil.which("fc-list"):
        return None
    missing = []
    for language in LANGUAGES:
        command = ["fc-list", f":lang={_TAGS.get(language, language)}", "family"]
        try:
            found = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            return None
        if not found.strip():
            missing.append(language)
    return missing


def in_words(missing: list[str] | None) -> str:
    """The result as a sentence, with the command that helps."""
    if missing is None:
        return "cannot tell which languages have glyphs; sudo apt-get install fontconfig"
    if not missing:
        return "glyphs for " + ", ".join(LANGUAGES)
    packages = sorted({PACKAGES.get(language, DEFAULT_PACKAGE) for language in missing})
    return f"no glyphs for {', '.join(missing)}; sudo apt-get install {' '.join(packages)}"
