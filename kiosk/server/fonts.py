"""Whether this machine has glyphs for the languages of the page, as fontconfig (and so the browser) sees it."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Sequence

import msgspec

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


def missing_glyphs(languages: Sequence[str]) -> list[tuple[str, str]]:
    """Each of `languages` for which no font is installed, and the command that installs one."""
    missing = languages_without_glyphs() or ()
    return [
        (language, f"sudo apt-get install {PACKAGES.get(language, DEFAULT_PACKAGE)}")
        for language in languages
        if language in missing
    ]


def in_words(missing: list[str] | None) -> str:
    """The result as a sentence, with the command that helps."""
    if missing is None:
        return "cannot tell which languages have glyphs; sudo apt-get install fontconfig"
    if not missing:
        return "glyphs for " + ", ".join(LANGUAGES)
    packages = sorted({PACKAGES.get(language, DEFAULT_PACKAGE) for language in missing})
    return f"no glyphs for {', '.join(missing)}; sudo apt-get install {' '.join(packages)}"


class Font(msgspec.Struct, frozen=True):
    """A font file, and which of its faces."""

    file: str
    index: int = 0


@functools.lru_cache(maxsize=256)
def font_for(text: str, language: str) -> Font | None:
    """A font that has the glyphs of `text`, as fontconfig finds it; None where it is missing or fails."""
    if not shutil.which("fc-match"):
        return None
    glyphs = " ".join(sorted({f"{ord(c):x}" for c in text if not c.isspace()}))
    pattern = f"sans:lang={_TAGS.get(language, language)}:charset={glyphs}"
    command = ["fc-match", "--format=%{file}|%{index}", pattern]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=True).stdout
        file, _, index = found.partition("|")
        # The upper half of fontconfig's index names an instance of a variable font.
        return Font(file, int(index) & 0xFFFF) if file else None
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
