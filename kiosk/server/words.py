"""The words of the page's languages, for what the server itself writes to visitors and staff."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

from ..settings import LANGUAGES

FOLDER = Path(__file__).resolve().parents[1] / "web" / "languages"
RIGHT_TO_LEFT = frozenset({"ar"})


@functools.cache
def words(language: str) -> Mapping[str, str]:
    """All words of one of LANGUAGES."""
    return json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))


def word(language: str, key: str, **values: object) -> str:
    """One word or sentence. Each {name} in it is replaced by the value of that name."""
    text = words(language)[key]
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def direction(language: str) -> str:
    """HTML's dir."""
    return "rtl" if language in RIGHT_TO_LEFT else "ltr"


def preferred(accepted: str, default: str, offered: tuple[str, ...] = LANGUAGES) -> str:
    """The language of `offered` that a browser's Accept-Language header prefers, else `default`."""
    weighted = []
    for position, item in enumerate(accepted.split(",")):
        tag, _, parameters = item.partition(";")
        language = tag.strip().lower().partition("-")[0]
        try:
            weight = float(parameters.partition("=")[2] or 1)
        except ValueError:
            weight = 0.0
        if language in offered and weight > 0:
            weighted.append((-weight, position, language))
    return min(weighted)[2] if weighted else default
