"""A published site in a real browser, from a plain static server under a sub-path: no server of ours runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livetint.cli.__main__ import main
from livetint.engine.colour.cielab import srgb_to_lab
from livetint.engine.colour.metrics import delta_e
from livetint.engine.files import sha256_of
from livetint.engine.image.metadata import read_metadata
from livetint.kiosk.server.exhibition import bundled_photos
from livetint.kiosk.server.words import words
from livetint.kiosk.settings import Settings
from livetint.kiosk.site.page import integrity
from PIL import Image

from ..needs import needs
from .page import Visitor
from .running import until
from .static_server import StaticServer
from .test_accessible import violations

pytestmark = needs("chromium")

ACTIVE = "navigator.serviceWorker.ready.then((r) => r.active.state === 'activated')"
SUB_PATH = "museum/colour/"
# Larger than what the page paints on, so that its full size is a file of its own.
LARGE_PX = (2200, 900)
VIVID = Settings().engine.vivid
# A small window, for drawing takes a processor's time here.
SMALL = (720, 540)
VIEWPORT = {"width": SMALL[0], "height": SMALL[1]}


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exhibition of two photographs, a large and a small one."""
    folder = tmp_path_factory.mktemp("gallery")
    Image.open(bundled_photos() / "coffee.jpg").resize(LARGE_PX).save(folder / "large.jpg", quality=95)
    shutil.copy(bundled_photos() / "abandoned-dust-bowl-home.jpg", folder / "small.jpg")
    (folder / "photographs.toml").write_text(
        'schema = 1\n[[photograph]]\nfile = "large.jpg"\ntitle = "Large: coffee"\nphotographer = "A. Photographer"\n'
        'year = "1911"\nrights = "Town archive"\nhints = [[0.4, 0.4, 20.0, 30.0]]\n'
        '[[photograph]]\nfile = "small.jpg"\ntitle = "Small"\n'
    )
    (folder / "captions.de.toml").write_text('["large.jpg"]\ntitle = "Kaffee"\ncaption = "Eine Tasse."\n')
    return folder


def publish(gallery: Path, folder: Path, *options: str) -> None:
    main(["site", str(gallery), "-o", str(folder), "--accept-licence", *options])


@pytest.fixture(scope="module")
def root(gallery: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root folder of a web server, with a site in SUB_PATH."""
    root = tmp_path_factory.mktemp("www")
    publish(gallery, root / SUB_PATH, "--full-size", "--language", "en", "--language", "de", "--language", "ar")
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[StaticServer]:
    server = StaticServer(root)
    yield server
    server.close()


@pytest.fixture(scope="module")
def address(server: StaticServer) -> str:
    return server.address + SUB_PATH


def colorized(visitor: Visitor, photo: Path, tmp_path: Path) -> Path:
    """What the command line makes of a photograph with the visitor's hints."""
    hints, out = tmp_path / "hints.json", tmp_path / "colorized.png"
    # A line of the brush lies where it lies; the marker at its end is the page's own.
    marks = [{k: v for k, v in hint.items() if "lines" not in hint or k not in ("x", "y")} for hint in visitor.hints]
    hints.write_text(json.dumps({"schema": 1, "hints": marks, "vivid": VIVID}))
    main(["colorize", str(photo), "-o", str(out), "--hints", str(hints)])
    return out


def mean_delta_e(one: Path, other: Path) -> float:
    labs = (srgb_to_lab(np.asarray(Image.open(path).convert("RGB")) / np.float32(255)) for path in (one, other))
    return float(np.mean(delta_e(*labs)))


def save(visitor: Visitor, to: Path) -> str:
    """Save the picture, and return the name that the browser proposed."""
    with visitor.page.expect_download() as waiting:
        visitor.page.click("#save")
    waiting.value.save_as(to)
    visitor.until("document.getElementById('saved').open", "that it was saved")
    visitor.page.click("#saved-close")
    return waiting.value.suggested_filename


def said(visitor: Visitor) -> str:
    return visitor.evaluate("document.getElementById('status').textContent")


def test_a_picture_is_painted_and_saved_as_the_command_line_makes_it_and_then_without_a_network(
    browser: Any, server: StaticServer, address: str, gallery: Path, tmp_path: Path
) -> None:
    visitor = Visitor(browser, address, *SMALL)
    requests: list[str] = []
    visitor.context.on("request", lambda request: requests.append(request.url))
    visitor.open()
    for x, y in ((0.3, 0.4), (0.7, 0.6), (0.5, 0.2)):
        visitor.place(x, y)
    name = save(visitor, tmp_path / "saved.png")
    assert name == "Large  coffee – Livetint.png".replace("  ", " ")
    assert Image.open(tmp_path / "saved.png").size == LARGE_PX
    assert mean_delta_e(tmp_path / "saved.png", colorized(visitor, gallery / "large.jpg", tmp_path)) <= 0.5
    fields = read_metadata(tmp_path / "saved.png").fields
    assert fields["title"] == ("Large: coffee",) and fields["rights"] == ("Town archive",)
    assert fields["author"] == ("A. Photographer",)

    visitor.until(ACTIVE, "the service worker")
    server.cut = True
    try:
        before = visitor.hints
        visitor.page.reload()
        visitor.until("globalThis.livetint !== undefined", "the page without a network")
        until(lambda: said(visitor) == words("en")["site_kept"], "that the points are kept")
        visitor.settled()
        assert visitor.hints == before
        visitor.page.click("#gallery-open")
        visitor.page.click("#pictures li:nth-child(2) button")
        visitor.until("document.body.dataset.state === 'painting'")
        visitor.settled()
        visitor.page.click("#brush")
        visitor.fingers("Start", visitor.at(0.2, 0.3))
        for x in (0.3, 0.5, 0.7):
            visitor.fingers("Move", visitor.at(x, 0.35))
        visitor.fingers("End")
        visitor.until("livetint.painting.edits.present.hints[0]?.lines?.[0].length > 1", "a line")
        visitor.settled()
        save(visitor, tmp_path / "small.png")
        assert mean_delta_e(tmp_path / "small.png", colorized(visitor, gallery / "small.jpg", tmp_path)) <= 0.5
    finally:
        server.cut = False
    assert requests and [url for url in requests if not url.startswith((address, f"blob:{server.address}"))] == []
    visitor.close()


def test_no_violation_of_accessibility_on_a_phone(browser: Any, address: str) -> None:
    visitor = Visitor(browser, address, 390, 844, bypass_csp=True, reduced_motion="reduce", service_workers="block")
    found = {"attract": violations(visitor)}
    visitor.page.click("#about-open")
    visitor.until("document.getElementById('about').open")
    found["about"] = violations(visitor)
    licence = visitor.page.locator("#about-licence").inner_text()
    assert "touch" in licence and "non-commercial" in licence
    assert "A. Photographer, 1911 · Town archive" in visitor.page.locator("#about-photographs").inner_text()
    visitor.page.click("#about-close")
    visitor.page.click("#begin")
    found["gallery"] = violations(visitor)
    visitor.page.click("#pictures li:nth-child(1) button")
    visitor.settled()
    visitor.place(0.5, 0.5)
    found["painting"] = violations(visitor)
    assert {state: faults for state, faults in found.items() if faults} == {}
    assert visitor.evaluate("document.documentElement.scrollWidth <= innerWidth")
    places = visitor.evaluate("livetint.settings.pictures[0].next")
    assert next_place(visitor, []) == places[0]
    assert next_place(visitor, [[*places[0], 0, 0, 5]]) == places[1]
    visitor.close()


def next_place(visitor: Visitor, hints: list[list[float]]) -> list[float]:
    """Where the page would have a visitor with these hints touch next."""
    return visitor.evaluate(
        f"""new Promise((done) => {{
          livetint.link.addEventListener('message', (event) => done(event.detail.place), {{ once: true }});
          livetint.link.askNext({{ photo: livetint.painting.photo, hints: {json.dumps(hints)} }}); }})"""
    )


def test_the_browsers_language_back_and_a_second_tab(browser: Any, address: str) -> None:
    visitor = Visitor(browser, address, *SMALL, locale="de-AT", service_workers="block")
    assert visitor.evaluate("document.documentElement.lang") == "de"
    visitor.open()
    visitor.place(0.5, 0.5)
    other = visitor.context.new_page()
    other.goto(address)
    until(lambda: other.evaluate("globalThis.livetint !== undefined"), "the second tab")
    assert other.evaluate("document.body.dataset.state") == "attract", "a second tab is a visitor of its own"
    assert other.evaluate("livetint.painting.pictures.histories.size") == 0
    other.close()
    assert len(visitor.hints) == 1
    for state in ("gallery", "attract"):
        visitor.page.go_back()
        visitor.until(f"document.body.dataset.state === '{state}'")
    visitor.page.go_forward()
    visitor.page.go_forward()
    visitor.until("document.body.dataset.state === 'painting'")
    assert len(visitor.hints) == 1
    visitor.close()


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """One bit near the end is another one."""
    return content[:-40] + bytes([content[-40] ^ 1]) + content[-39:]


def test_a_damaged_part_of_the_page_is_one_sentence_and_nothing_else(browser: Any, root: Path, address: str) -> None:
    context = browser.new_context(viewport=VIEWPORT, service_workers="block", locale="de-DE")
    page = context.new_page()
    for file, change in [
        ("touch/heads.bin", flipped),
        ("settings.json", truncated),
        ("main.js", lambda content: b"import './gone.js';"),
    ]:
        (path,) = (root / SUB_PATH).glob(f"v-*/{file}")
        kind = {".js": "text/javascript"}.get(path.suffix, "application/octet-stream")
        context.route(f"**/{file}", answering(change(path.read_bytes()), kind))
        page.goto(address)
        expect_stopped(page, words("de")["page_damaged"], words("de")["reload"])
        context.unroute(f"**/{file}")
    context.close()


def answering(content: bytes, kind: str = "application/octet-stream") -> Callable[[Any], None]:
    """A route that gives `content`."""
    return lambda route: route.fulfill(body=content, content_type=kind)


def expect_stopped(page: Any, *lines: str) -> None:
    """The page shows `lines`, a sentence and perhaps a button, and nothing else."""
    until(lambda: page.evaluate("Boolean(document.getElementById('stopped'))"), lines[0])
    assert [line for line in page.locator("body").inner_text().splitlines() if line] == list(lines)


@pytest.mark.parametrize(
    "before",
    [
        "HTMLCanvasElement.prototype.getContext = () => null;",
        "WebAssembly.validate = () => false;",
        "delete globalThis.OffscreenCanvas;",
    ],
)
def test_a_browser_that_lacks_something_is_told_so(browser: Any, address: str, before: str) -> None:
    context = browser.new_context(locale="ar", service_workers="block")
    page = context.new_page()
    page.add_init_script(before)
    page.goto(address)
    expect_stopped(page, words("ar")["browser_old"])
    assert page.evaluate("document.getElementById('stopped').dir") == "rtl"
    context.close()


def test_a_page_that_was_renewed_says_so(browser: Any, root: Path, address: str) -> None:
    """The page comes from a cache on the way; the folder of its version is gone."""
    context = browser.new_context(viewport=VIEWPORT, service_workers="block")
    old = (root / SUB_PATH / "index.html").read_text().replace('<base href="v-', '<base href="v-0')
    page = context.new_page()
    page.route(address, lambda route: route.fulfill(body=old, content_type="text/html"))
    page.goto(address)
    expect_stopped(page, words("en")["site_renewed"], words("en")["reload"])
    context.close()


def test_a_picture_with_damaged_files_sends_back_to_the_gallery(browser: Any, root: Path, address: str) -> None:
    visitor = Visitor(browser, address, *SMALL, service_workers="block")
    second = visitor.evaluate("livetint.settings.pictures[1].id")
    visitor.page.click("#begin")
    for file, change in (("features.bin", truncated), ("features.bin", flipped), ("2048.jpg", flipped)):
        (path,) = (root / SUB_PATH).glob(f"v-*/pictures/{second}/{file}")
        visitor.context.route(f"**/{second}/{file}", answering(change(path.read_bytes())))
        visitor.page.click("#pictures li:nth-child(2) button")
        until(lambda: said(visitor) == words("en")["picture_damaged"], f"the sentence about {file}")
        assert visitor.evaluate("document.body.dataset.state") == "gallery"
        assert visitor.page.locator("#back").is_hidden()
        visitor.context.unroute(f"**/{second}/{file}")
        visitor.evaluate("document.getElementById('status').textContent = ''")
    visitor.page.click("#pictures li:nth-child(2) button")
    visitor.until("document.body.dataset.state === 'painting'")
    visitor.settled()
    visitor.close()


def test_a_file_opened_without_a_server_says_so(browser: Any, root: Path) -> None:
    page = browser.new_page()
    page.goto((root / SUB_PATH / "index.html").as_uri())
    expect_stopped(page, words("en")["site_no_server"])
    page.close()


def test_a_new_version_takes_over_and_the_files_of_the_old_one_go(browser: Any, root: Path, tmp_path: Path) -> None:
    """The same site with another title of the page is another version."""
    shutil.copytree(root / SUB_PATH, tmp_path / "site")
    server = StaticServer(tmp_path)
    try:
        visitor = Visitor(browser, f"{server.address}site/", *SMALL)
        visitor.until(ACTIVE, "the service worker")
        (old,) = visitor.evaluate("caches.keys()")
        renew(tmp_path / "site")
        visitor.evaluate("navigator.serviceWorker.ready.then((r) => r.update()).then(() => true)")
        visitor.until("navigator.serviceWorker.ready.then((r) => r.waiting !== null)", "the new version")
        assert visitor.page.title() == "Livetint", "the old page goes on"
        visitor.page.reload()
        until(lambda: visitor.page.title() == "Renewed", "the new page")
        until(lambda: visitor.context.pages[0].evaluate("caches.keys()") != [old], "its cache")
        visitor.page.wait_for_load_state()
        visitor.until("globalThis.livetint !== undefined", "the new page, complete")
        assert len(visitor.evaluate("caches.keys()")) == 1
        visitor.close()
    finally:
        server.close()


def renew(folder: Path) -> None:
    """Publish another version of a site: a page of another title, in a folder of another name."""
    (content,) = folder.glob("v-*")
    content.rename(folder / "v-new")
    index, offline = folder / "index.html", folder / "offline.js"
    before = sha256_of(index.read_bytes())
    index.write_text(index.read_text().replace(content.name, "v-new").replace("<title>Livetint", "<title>Renewed"))
    after = sha256_of(index.read_bytes())
    text = offline.read_text().replace(content.name, "v-new").replace(integrity(before), integrity(after))
    offline.write_text(text.replace(content.name.removeprefix("v-"), "new"))
