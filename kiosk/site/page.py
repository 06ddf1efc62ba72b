"""The page of a published site: the kiosk's own page as static files, for any web server and any path.

A site is an `index.html`, `start.js` and `offline.js`, and one folder with everything else, which is named by the
version. `<base>` makes all addresses of the page relative to that folder, so files of two versions never mix.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ...engine.bundle import Bundle
from ..server.exhibition import GalleryPicture
from ..server.labels import label_of
from ..server.web_files import WEB, web_files
from ..server.words import words
from ..settings import Settings

INDEX, START, OFFLINE = "index.html", "start.js", "offline.js"
SETTINGS, MODEL_CARD = "settings.json", "model-card.txt"
_SOURCES = WEB / "site"
# What the page does not load: other pages, and what is written anew for a site.
_OTHER_PAGES = ("staff/", "wall.", "operator.css", "takeaway.css")
_OWN = (INDEX, f"site/{START}", f"site/{OFFLINE}", "site/about.html")
# A server that lets others in sets more; these hold on every server.
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'none'"
)
# Sentences that are shown where the page itself cannot start.
START_WORDS = ("browser_old", "page_damaged", "site_renewed", "site_no_server", "reload")
# Places of index.html where something is put in, before or after them.
_AFTER_CHARSET = '<meta charset="utf-8">'
_MAIN = '<script type="module" src="main.js"></script>'
_BEFORE_BUTTONS = '<button id="contrast"'
_BEFORE_VEIL = '<div id="veil"'
_ABOUT_BUTTON = (
    '<button id="about-open" class="small" aria-haspopup="dialog" data-label="about">'
    '<svg aria-hidden="true"><use href="icons.svg#about"></use></svg></button>\n  '
)


def page_files(languages: Sequence[str]) -> dict[str, bytes]:
    """Address → contents of the scripts, styles, pictures and words of the page, for the folder of the version."""
    files = {}
    for address, (content, _) in web_files().items():
        name = address.removeprefix("/")
        path = PurePosixPath(name)
        other_language = path.parent.name == "languages" and path.stem not in languages
        if name and name not in _OWN and not name.startswith(_OTHER_PAGES) and not other_language:
            files[name] = content
    return files


@dataclass(frozen=True)
class Shown:
    """A picture on show. full_size: whether there is a file of its full size. painted: SHA-256, in hexadecimal, of the
    grey picture that the page paints on. next: places to touch next (x, y in 0…1), the best first."""

    picture: GalleryPicture
    full_size: bool
    painted: str
    next: Sequence[tuple[float, float]]


def settings_file(pictures: Iterable[Shown], languages: Sequence[str], vivid: float) -> bytes:
    """What the page needs to know, as the kiosk's /settings.json. vivid: factor of the automatic colours."""
    screen = Settings().screen
    return _json({
        "site": True,
        "vivid": vivid,
        "panel_width_mm": 0,
        "reach": screen.reach,
        "contrast": screen.contrast,
        "pixels": "planes",
        "upsampling": "bilinear",
        "palm_mm": screen.palm_mm,
        "language": languages[0],
        "languages": list(languages),
        "download": True,
        "keep": False,
        "takeaway": False,
        "wall": False,
        "uploads": None,
        "pictures": [_told(shown, languages) for shown in pictures],
    })  # fmt: skip


def _told(shown: Shown, languages: Sequence[str]) -> dict[str, Any]:
    """What the page is told of a picture."""
    told = shown.picture.for_visitors()
    for name in ("titles", "captions"):
        told[name] = {language: text for language, text in told[name].items() if language in languages}
    names = {language: label_of(shown.picture, language).file_name(".png") for language in languages}
    facts = {"full_size": shown.full_size, "integrity": integrity(shown.painted), "next": shown.next}
    return {**told, **facts, "file_names": names}


def start_script(languages: Sequence[str]) -> bytes:
    """`start.js`: it starts the page, or says in the visitor's language why it cannot."""
    sentences = {language: {key: words(language)[key] for key in START_WORDS} for language in languages}
    return b"var SENTENCES = " + _json(sentences) + b";\n" + (_SOURCES / START).read_bytes()


def index_page(folder: str, languages: Sequence[str], bundle: Bundle) -> bytes:
    """`index.html`. folder: name of the folder of the version. Raises ValueError where the kiosk's page has no place
    for what a site adds."""
    manifest = bundle.manifest
    about = (_SOURCES / "about.html").read_text("utf-8")
    for name, text in {
        "model": f"{manifest.name} {manifest.version}",
        "licence": manifest.licence,
        "card": MODEL_CARD,
    }.items():
        about = about.replace(f"{{{name}}}", html.escape(text))
    if not has_model_card(bundle):
        about = "\n".join(line for line in about.splitlines() if MODEL_CARD not in line)
    scripts = "\n".join(
        f'<p lang="{language}">{html.escape(words(language)["site_script"])}</p>' for language in languages
    )
    text = (WEB / INDEX).read_text("utf-8")
    for place, replacement in {
        _AFTER_CHARSET: (
            f'{_AFTER_CHARSET}\n<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n<base href="{folder}/">'
        ),
        _MAIN: f'<link rel="modulepreload" href="main.js">\n<script src="../{START}"></script>',
        _BEFORE_BUTTONS: _ABOUT_BUTTON + _BEFORE_BUTTONS,
        _BEFORE_VEIL: f"{about.strip()}\n<noscript>{scripts}</noscript>\n{_BEFORE_VEIL}",
    }.items():
        if text.count(place) != 1:
            raise ValueError(f"index.html has {place} {text.count(place)} times, expected once")
        text = text.replace(place, replacement)
    return text.encode()


def has_model_card(bundle: Bundle) -> bool:
    """Whether the bundle says how it was made."""
    return "MODEL_CARD.md" in bundle.files


def model_card(bundle: Bundle) -> bytes:
    """The model card as plain text. Its first character says that it is UTF-8, whatever the server says."""
    return b"\xef\xbb\xbf" + bundle.files["MODEL_CARD.md"]


def offline_script(version: str, digests: Mapping[str, str], kept: Iterable[str]) -> bytes:
    """`offline.js`, the service worker.

    digests: address → SHA-256 in hexadecimal, of every file. kept: addresses that it fetches at the first visit; the
    others are kept when they are visited.
    """
    files = {address: integrity(digest) for address, digest in sorted(digests.items())}
    site = {"version": version, "files": files, "kept": sorted(kept)}
    return b"self.SITE = " + _json(site) + b";\n" + (_SOURCES / OFFLINE).read_bytes()


def sources() -> bytes:
    """What the files beside the folder of the version are made from; it is part of what the version is made from."""
    names = (WEB / INDEX, *(_SOURCES / name for name in (START, OFFLINE, "about.html")))
    return b"".join(path.read_bytes() for path in names) + POLICY.encode()


def integrity(digest: str) -> str:
    """A SHA-256 in hexadecimal as browsers take it."""
    return "sha256-" + base64.b64encode(bytes.fromhex(digest)).decode()


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
