"""The words of the staff page, in the visitors' languages, for what it shows."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "web" / "staff"

# Gives a word or sentence of a language, escaped for HTML. Each {name} in it is replaced.
Say = Callable[..., str]


@functools.cache
def staff_words(language: str) -> Mapping[str, str]:
    """All words of one language."""
    return json.loads((FOLDER / f"words.{language}.json").read_text(encoding="utf-8"))


def say_in(language: str) -> Say:
    """The words of a language."""
    words = staff_words(language)

    def say(key: str, **values: object) -> str:
        text = words[key]
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", str(value))
        return escape(text)

    return say
