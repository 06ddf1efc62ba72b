"""The HTML of the staff page. Everything that is shown is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from urllib.parse import quote

import msgspec

from ...settings import LANGUAGES
from ..words import direction
from .folder import TEXTS, Entry
from .words import Say

LANGUAGE_NAMES = {
    "en": "English", "de": "Deutsch", "fr": "Français", "es": "Español", "zh": "中文", "ja": "日本語", "ar": "العربية",
}  # fmt: skip
PAGES = {"overview": "/", "photographs": "/photographs", "wall": "/wall"}


def document(say: Say, language: str, current: str, body: str, scripts: Sequence[str] = ()) -> str:
    """A whole page: `current` is one of PAGES."""
    links = "".join(
        f'<a href="{path}"{" aria-current=page" if name == current else ""}>{say(name)}</a>'
        for name, path in PAGES.items()
    )
    languages = "".join(
        f'<a href="?language={code}" lang="{code}"{" aria-current=true" if code == language else ""}>'
        f"{LANGUAGE_NAMES[code]}</a>"
        for code in LANGUAGES
    )
    sources = "".join(f'<script type="module" src="{path}"></script>' for path in scripts)
    return (
        f'<!doctype html><html lang="{language}" dir="{direction(language)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>Livetint: {say(current)}</title><link rel="stylesheet" href="/operator.css">'
        f'<link rel="icon" href="/icon.svg">{sources}</head><body><header><h1>Livetint</h1><nav>{links}</nav>'
        f'<nav class="languages" aria-label="{say("language")}">{languages}</nav></header>'
        f"<main>{body}</main></body></html>"
    )


def notice(text: str, kind: str = "bad") -> str:
    """A sentence above the rest; `text` is escaped already."""
    return f'<p class="notice {kind}" role="{"alert" if kind == "bad" else "status"}">{text}</p>' if text else ""


def rows(pairs: Iterable[tuple[str, str]]) -> str:
    """A table of two columns; both are escaped already."""
    return "".join(f"<tr><th scope='row'>{name}</th><td>{value}</td></tr>" for name, value in pairs)


def listed(lines: Sequence[str], say: Say, code: bool = False) -> str:
    """Lines as a list, or that there are none."""
    if not lines:
        return f"<p>{say('none')}</p>"
    form = "<li><code>{}</code></li>" if code else "<li>{}</li>"
    return f"<ul>{''.join(form.format(escape(line)) for line in lines)}</ul>"


def button(action: str, text: str, hidden: Mapping[str, str], label: str = "", kind: str = "") -> str:
    """A form with one button. `text` and `label` are escaped already."""
    fields = "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in hidden.items())
    aria = f' aria-label="{label}"' if label else ""
    return f'<form method="post" action="{action}">{fields}<button class="{kind}"{aria}>{text}</button></form>'


def photograph(say: Say, entry: Entry, id: str, edition: str, position: tuple[int, int], editable: bool) -> str:
    """One photograph of the list. position: its index and how many there are. id: "" where it cannot be shown."""
    at, count = position
    title = escape(entry.texts["title"])
    image = f'<img src="/photographs/{id}/480.jpg" alt="" loading="lazy">' if id else '<span class="missing"></span>'
    credit = escape(", ".join(filter(None, (entry.texts["photographer"], entry.texts["year"]))))
    words = f"<strong>{title}</strong><span>{credit}</span><code>{escape(entry.file)}</code>"
    if not editable:
        return f"<li>{image}<div>{words}</div></li>"
    hidden = {"file": entry.file, "edition": edition}
    buttons = ""
    for word, step, possible in (("up", "-1", at > 0), ("down", "1", at < count - 1)):
        if possible:
            buttons += button("/photographs/move", say(word), {**hidden, "step": step}, f"{say(word)}: {title}")
    address = f"/photographs/edit?file={quote(entry.file, safe='')}"
    edit = f'<a class="button" href="{address}" aria-label="{say("edit")}: {title}">{say("edit")}</a>'
    buttons = edit + buttons
    buttons += button("/photographs/remove", say("remove"), hidden, f"{say('remove')}: {title}", "quiet")
    return f'<li>{image}<div>{words}</div><div class="buttons">{buttons}</div></li>'


def editor(say: Say, entry: Entry, id: str, edition: str) -> str:
    """The form of one photograph: texts, captions, points of the attract loop."""
    fields = "".join(_field(say(name), name, entry.texts.get(name, ""), name == "title") for name in TEXTS)
    captions = "".join(
        f'<fieldset dir="{direction(code)}"><legend lang="{code}">{LANGUAGE_NAMES[code]}</legend>'
        + _field(say("title"), f"title.{code}", entry.titles.get(code, ""))
        + _area(say("caption"), f"caption.{code}", entry.captions.get(code, ""))
        + "</fieldset>"
        for code in LANGUAGES
    )
    hints = escape(msgspec.json.encode(entry.hints).decode())
    painting = (
        f"<h3>{say('points')}</h3><p>{say('points_help')}</p>"
        f'<div id="painting" data-id="{id}"><div id="picture-box">'
        f'<img id="preview" alt="{escape(entry.texts["title"])}" src="/photographs/{id}/480.jpg">'
        f'<button type="button" id="place" aria-label="{say("points_help")}"></button>'
        f'<div id="points" data-label="{say("points")}"></div></div>'
        f'<div id="colours" hidden><p>{say("suggested")}</p><div id="swatches"></div>'
        f'<label>{say("colour")} <input type="color" id="other"></label>'
        f'<button type="button" id="delete" class="quiet">{say("delete_point")}</button></div></div>'
        if id
        else ""
    )
    return (
        f'<form method="post" action="/photographs/save" class="editor"><h2>{escape(entry.texts["title"])}</h2>'
        f'<input type="hidden" name="file" value="{escape(entry.file)}">'
        f'<input type="hidden" name="edition" value="{edition}">'
        f'<input type="hidden" name="hints" id="hints" value="{hints}">'
        f"{painting}<h3>{say('texts')}</h3>{fields}<h3>{say('other_languages')}</h3>"
        f'<div class="captions">{captions}</div>'
        f'<p class="buttons"><button class="primary">{say("save")}</button>'
        f'<a class="button quiet" href="/photographs">{say("cancel")}</a></p></form>'
    )


def _field(label: str, name: str, value: str, required: bool = False) -> str:
    need = " required" if required else ""
    return f'<label>{label}<input name="{name}" value="{escape(value)}" maxlength="2000"{need}></label>'


def _area(label: str, name: str, value: str) -> str:
    return f'<label>{label}<textarea name="{name}" rows="3" maxlength="2000">{escape(value)}</textarea></label>'
