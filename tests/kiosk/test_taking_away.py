"""What leaves the exhibit: an own picture only if its visitor said yes; names, credits, the line; the QR page."""

from __future__ import annotations

import io
import shutil
import urllib.parse
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livetint.engine.image.metadata import read_metadata
from livetint.kiosk.server.exhibition import bundled_photos
from livetint.kiosk.server.fonts import font_for, languages_without_glyphs
from livetint.kiosk.server.labels import Label, plain_name
from livetint.kiosk.server.strip import with_line
from livetint.kiosk.server.words import preferred, word
from livetint.kiosk.settings import LANGUAGES
from PIL import Image

from ..needs import needs
from .page import Visitor
from .running import PATIENCE_S, RunningKiosk
from .test_server import PHOTO, controls, edit, first_picture, free_port
from .test_uploads import bring, picture, visit
from .test_venue import address_in

SERIAL = "SN-0451-PRIVATE"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("taking")
    for name in ("kept", "wall", "show"):
        (root / name).mkdir()
    # The bundled lists, and their first picture in a size that is saved fast. The others are left out.
    for path in bundled_photos().glob("*.toml"):
        shutil.copy(path, root / "show")
    with Image.open(bundled_photos() / PHOTO) as image:
        image.resize((400, 307)).save(root / "show" / PHOTO)
    return {name: root / name for name in ("kept", "wall", "show", "kiosk")}


@pytest.fixture(scope="module")
def venue(stub: Path, folders: dict[str, Path]) -> Iterator[RunningKiosk]:
    """A kiosk that takes uploads and saves to every place, with a line under the pictures."""
    running = RunningKiosk(
        folders["kiosk"], stub,
        uploads={"enabled": True, "deadline_s": 60.0}, saving={"folder": str(folders["kept"]), "line": True},
        takeaway={"host": "127.0.0.1", "port": free_port()}, wall={"folder": str(folders["wall"])},
        gallery={"folder": str(folders["show"])},
    )  # fmt: skip
    yield running
    running.close()


def save(kiosk: RunningKiosk, place: str, photo: str, language: str = "en") -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers. `place` may have a query."""
    connection = HTTPConnection("127.0.0.1", kiosk.port, timeout=PATIENCE_S)
    headers = {"Origin": kiosk.address.rstrip("/"), "Accept-Language": language, **kiosk.page_header}
    connection.request("POST", f"/save/{place}", edit(photo).encode(), headers)
    answer = connection.getresponse()
    found = answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    connection.close()
    return found


@pytest.fixture
def at_controls(venue: RunningKiosk) -> Iterator[None]:
    """A page is there meanwhile. (The visit of one that has left ends 15 seconds later, with all that is saved.)"""
    with controls(venue):
        yield


def from_a_phone() -> bytes:
    exif = Image.Exif()
    exif[315] = "Visitor Name"
    exif[34853] = {1: "N", 2: (54.0, 20.0, 0.0), 3: "E", 4: (10.0, 8.0, 0.0)}
    exif[34665] = {0xA431: SERIAL}
    return picture("JPEG", exif=exif)


def test_an_own_picture_is_kept_nowhere_unless_its_visitor_agreed(
    venue: RunningKiosk, folders: dict[str, Path]
) -> None:
    with visit(venue):
        data = from_a_phone()
        assert SERIAL.encode() in data
        own = bring(venue, data)[1]["id"]
        for place in ("keep", "download", "wall", "keep?agreed=no", "keep?agreed="):
            status, body, _ = save(venue, place, own)
            assert (status, body) == (403, b"Please say first that this picture may be kept."), place
        assert [list(folders[name].iterdir()) for name in ("kept", "wall")] == [[], []]
        assert save(venue, "takeaway", own)[0] == 200  # in memory alone
        saved = [save(venue, f"{place}?agreed=yes", own) for place in ("keep", "download", "wall")]
        assert [status for status, _, _ in saved] == [200] * 3
    files = [path.read_bytes() for name in ("kept", "wall") for path in folders[name].iterdir()]
    assert len(files) == 2
    for file in (*files, saved[1][1]):
        assert SERIAL.encode() not in file
        assert b"Visitor Name" not in file
        assert not Image.open(io.BytesIO(file)).getexif().get_ifd(34853)
        assert read_metadata(file).fields["description"] == ("Coloured by a computer, guided by a visitor.",)
    for name in ("kept", "wall"):
        for path in folders[name].iterdir():
            path.unlink()


@pytest.mark.usefixtures("at_controls")
def test_a_picture_of_the_exhibition_asks_for_the_wall_alone(venue: RunningKiosk, folders: dict[str, Path]) -> None:
    photo = first_picture(venue)
    assert save(venue, "wall", photo)[0] == 403
    assert list(folders["wall"].iterdir()) == []
    assert save(venue, "keep", photo)[0] == 200
    [path] = folders["kept"].iterdir()
    assert path.name.startswith("Abandoned-Dust-Bowl-home-")
    path.unlink()


@pytest.mark.usefixtures("at_controls")
def test_a_file_has_title_credit_rights_and_says_how_it_was_coloured(venue: RunningKiosk) -> None:
    status, data, headers = save(venue, "download", first_picture(venue), "de")
    assert status == 200
    named = urllib.parse.unquote(headers["content-disposition"].partition("UTF-8''")[2])
    fields = read_metadata(data).fields
    title = fields["title"][0]
    assert named == f"{title} – Livetint.png"
    assert title != "Abandoned Dust Bowl Home", "the German title"
    assert fields["author"] == ("Dorothea Lange",)
    assert fields["rights"] == ("public domain: work of the United States government",)
    assert fields["credit"] == ("Dorothea Lange, about 1935-1940",)
    assert fields["description"][0].endswith("Von einem Computer koloriert, von einem Besucher geleitet.")
    assert b"compositeWithTrainedAlgorithmicMedia" in data
    width, height = Image.open(io.BytesIO(data)).size
    assert width == 400
    assert height > 307, "the line stands under the picture"


@pytest.mark.usefixtures("at_controls")
def test_the_code_leads_to_a_page_with_the_picture_and_its_story(venue: RunningKiosk) -> None:
    status, code, _ = save(venue, "takeaway", first_picture(venue), "ar")
    assert status == 200
    address = urllib.parse.urlsplit(address_in(code))

    def fetch(path: str, language: str = "") -> tuple[int, str, bytes]:
        connection = HTTPConnection("127.0.0.1", address.port or 0, timeout=PATIENCE_S)
        connection.request("GET", path, headers={"Accept-Language": language} if language else {})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers["content-type"], body

    status, kind, body = fetch(address.path)
    page = body.decode()
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert '<html lang="ar" dir="rtl">' in page
    for text in (word("ar", "coloured_by"), "Dorothea Lange", "public domain", word("ar", "takeaway_keep"), "10"):
        assert text in page
    assert fetch(f"{address.path}/picture.jpg")[:2] == (200, "image/jpeg")
    assert fetch("/takeaway.css")[0] == 200
    status, kind, body = fetch("/not-a-key", "fr-CA,en;q=0.5")
    assert (status, kind) == (404, "text/html; charset=utf-8")
    assert word("fr", "takeaway_gone").split("’")[0] in body.decode()


def test_titles_cannot_break_out_of_the_page_or_the_name() -> None:
    hostile = Label("en", title='"><script>/../\n\0x', caption="<b>")
    assert plain_name(hostile.title) == "script x"
    assert "\n" not in hostile.disposition(".png")
    assert len(plain_name("港" * 300).encode()) <= 80
    assert Label("en").file_name(".jpg") == "Livetint.jpg"


@pytest.mark.parametrize(
    ("header", "expected"),
    [("de-AT,en;q=0.8", "de"), ("xx,ja;q=0.1", "ja"), ("", "es"), ("q=,;;", "es"), ("en;q=0", "es"), ("fr;q=x", "es")],
)
def test_the_language_a_browser_prefers(header: str, expected: str) -> None:
    assert preferred(header, "es") == expected


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", [(1200, 900), (90, 700), (3, 2)])
def test_the_line_leaves_the_picture_as_it_is(language: str, size: tuple[int, int]) -> None:
    width, height = size
    rgb = np.full((height, width, 3), 90, np.uint8)
    text = f"{word(language, 'coloured_by')} · {'x' * 90}"
    font = font_for(text, language)
    drawn = with_line(rgb, text, font, language == "ar")
    assert (drawn[:height] == rgb).all()
    strip = drawn[height:]
    assert strip.shape[1] == width
    assert width < 50 or strip.min() < 90, "there is ink"
    if language not in (languages_without_glyphs() or []) and width > 1000:
        cut = with_line(rgb, text, None, language == "ar")
        assert language in ("en", "de", "fr", "es") or cut.shape != drawn.shape or (cut != drawn).any()


# The page


@needs("chromium")
def test_the_page_asks_and_does_what_the_visitor_says(
    browser: Any, venue: RunningKiosk, folders: dict[str, Path]
) -> None:
    visitor = Visitor(browser, venue.address)
    visitor.open()
    page = visitor.page

    def choose(*targets: str, button: str) -> None:
        page.click("#save")
        visitor.until("document.getElementById('consent').open", "the question")
        assert page.locator("#consent input:checked").count() == 0, "nothing is agreed to beforehand"
        for target in targets:
            page.click(f"#consent [data-target={target}]")
        page.click(f"#consent button[value='{button}']")

    choose(button="")
    assert visitor.evaluate("document.getElementById('saved').open") is False
    assert page.locator("#consent-own").get_attribute("hidden") is not None
    with page.expect_download() as download:
        choose("wall", button="save")
    assert download.value.suggested_filename == "Abandoned Dust Bowl home – Livetint.png"
    visitor.until("document.getElementById('saved').open", "the end")
    assert "on the wall" in page.locator("#saved-text").inner_text()
    page.click("#saved-close")
    assert len(list(folders["wall"].iterdir())) == 1
    # A picture of one's own: three questions, and no answer is no.
    page.click("#gallery-open")
    page.set_input_files("#file", files=[{"name": "me.jpg", "mimeType": "image/jpeg", "buffer": from_a_phone()}])
    visitor.until("document.body.dataset.state === 'painting'", "the own picture")
    visitor.settled()
    page.click("#save")
    visitor.until("document.getElementById('consent').open", "the question")
    assert page.locator("#consent label:visible").count() == 3
    assert page.locator("#consent-own").is_visible()
    page.click("#consent button[value=save]")
    visitor.until("document.getElementById('saved').open", "the end")
    assert page.locator("#saved-text").inner_text() == word("en", "saved_takeaway")
    assert len(list(folders["wall"].iterdir())) == 1
    page.click("#saved-close")
    visitor.close()
