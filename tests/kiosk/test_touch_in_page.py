"""LocalLink answers edits in the page as the engine process does, from files of any web server."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from livetint.engine.colour.bins import CENTRES
from livetint.engine.colour.global_hints import histogram_of
from livetint.engine.image.photo import Photo
from livetint.engine.models import find_model
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.suggest import suggest
from livetint.kiosk.engine.photo_state import reference_ab
from livetint.kiosk.engine.service import EngineService
from livetint.kiosk.messages import Edit, HintMessage, PictureRef, Task
from livetint.kiosk.server.exhibition import bundled_photos
from livetint.kiosk.server.web_files import web_files
from livetint.kiosk.site.features import FeatureEncoder, pack_features, pack_histogram
from livetint.kiosk.site.heads import pack_heads
from PIL import Image

from ..needs import needs
from .running import until
from .test_touch_kernels import hints_of

pytestmark = needs("chromium")

VIVID = 1.35
POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'"
PHOTOS = ("abandoned-dust-bowl-home.jpg", "astronaut.jpg")
IDS = ("0" * 15 + "1", "0" * 15 + "2")
BLANK = b"<!doctype html><title>blank</title>"

# Makes a LocalLink, with another address of the features if that is given. `asked(edit)` gives the answer to an edit.
SET_UP = """async ({ vivid, features }) => {
  const { LocalLink } = await import('/touch/local_link.js'), { setLanguage } = await import('/language.js');
  await setLanguage('en');
  globalThis.local?.link.close();
  const link = new LocalLink({ heads: '/heads.bin', vivid, features: (id) => features ?? `/${id}/features.bin`,
    picture: (id) => `/${id}/picture.png`, histogram: (id) => `/${id}/histogram.bin` });
  const text = (pixels) => { let all = ''; const bytes = new Uint8Array(pixels);
    for (let i = 0; i < bytes.length; i += 8192) all += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(all); };
  const log = [], note = (kind) => link.addEventListener(kind, ({ detail }) => log.push([kind, detail]));
  ['up', 'reply', 'message', 'fault'].forEach(note);
  const answerTo = (seq) => log.map(([, d]) => d).find((d) => d && (d.header?.seq ?? d.seq) === seq || d?.photo === '');
  globalThis.local = { link, log, answerTo, asked: async (edit) => {
    const seq = link.send(edit);
    while (!answerTo(seq)) await new Promise((done) => setTimeout(done, 5));
    const { header, pixels, ...rest } = answerTo(seq);
    return pixels ? { header, planes: text(pixels) } : rest; } };
}"""


def set_up(page: Any, features: str | None = None) -> None:
    """A new LocalLink in the page. features: the address of all features."""
    page.evaluate(SET_UP, {"vivid": VIVID, "features": features})


class Site:
    """A static server of the page's files and two photographs; `files` can be changed."""

    def __init__(self, files: dict[str, tuple[bytes, str]]) -> None:
        self.files = files
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                data, kind = site.files.get(self.path, (b"", ""))
                self.send_response(200 if kind else 404)
                self.send_header("content-type", kind or "text/plain")
                self.send_header("content-length", str(len(data)))
                self.send_header("content-security-policy", POLICY)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def runner() -> OnnxRunner:
    return OnnxRunner(find_model("touch"), 2)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two grey pictures without loss, so that L is the same in the page and in the engine."""
    folder, found = tmp_path_factory.mktemp("pictures"), {}
    for id, name in zip(IDS, PHOTOS, strict=True):
        with Image.open(bundled_photos() / name) as image:
            found[id] = folder / f"{id}.png"
            image.convert("L").resize((320, 240)).convert("RGB").save(found[id])
    return found


@pytest.fixture(scope="module")
def site(runner: OnnxRunner, pictures: dict[str, Path]) -> Iterator[Site]:
    files = {**web_files(), "/blank.html": (BLANK, "text/html")}
    binary = "application/octet-stream"
    files["/heads.bin"] = pack_heads(runner.bundle), binary
    encoder = FeatureEncoder(runner.bundle, 2)
    for id, path in pictures.items():
        photo = Photo.open(path)
        features = encoder(photo.working_L)
        for bits, name in ((16, "features"), (10, "features10"), (8, "features8")):
            files[f"/{id}/{name}.bin"] = pack_features(features, photo.working_L, bits, runner.bundle), binary
        files[f"/{id}/histogram.bin"] = (
            pack_histogram(histogram_of(reference_ab(photo, runner)[0]), runner.bundle),
            binary,
        )
        files[f"/{id}/picture.png"] = path.read_bytes(), "image/png"
    site = Site(files)
    yield site
    site.close()


@pytest.fixture(scope="module")
def engine(runner: OnnxRunner) -> EngineService:
    return EngineService(runner, 64, VIVID)


@pytest.fixture(scope="module")
def page(chromium: Any, site: Site) -> Iterator[Any]:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{site.address}/blank.html")
    set_up(page)
    yield page
    context.close()


def expected(engine: EngineService, picture: Path, edit: Edit, reference: Path | None = None) -> tuple[Any, Any]:
    """Planes float16 [256, 256, 2] and colours as the engine process gives them."""
    refs = [PictureRef(path.stem, "upload") for path in (picture, reference) if path]
    files = [path.open("rb") for path in (picture, reference) if path]
    descriptors = {ref: file.fileno() for ref, file in zip(refs, files, strict=True)}
    try:
        task = Task("edit", refs[0], refs[1] if reference else None, edit)
        answer, pixels = engine.do(task, descriptors)
    finally:
        for file in files:
            file.close()
    return np.frombuffer(pixels, np.float16).reshape(256, 256, 2), answer.colours


def planes_of(answer: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(answer["planes"]), np.float16).reshape(256, 256, 2)


def as_message(edit: Edit) -> dict[str, Any]:
    hints = [[h.x, h.y, h.a, h.b, h.size] for h in edit.hints]
    return {"photo": edit.photo, "hints": hints, "mood": edit.mood, "reference": edit.reference, "point": edit.point}


CASES = [
    (0, "none", False), (1, "none", False), (5, "sunlit", False), (16, "none", True), (64, "rich", False),
    (128, "faded", False),
]  # fmt: skip


@pytest.mark.parametrize(("count", "mood", "borrowed"), CASES)
def test_answers_are_the_engines(
    page: Any, engine: EngineService, pictures: dict[str, Path], count: int, mood: str, borrowed: bool
) -> None:
    hints = tuple(HintMessage(h.x, h.y, h.a, h.b, h.size) for h in hints_of(count))
    edit = Edit(0, IDS[0], hints, mood, IDS[1] if borrowed else None, point=(0.41, 0.57))  # type: ignore[arg-type]
    planes, colours = expected(engine, pictures[IDS[0]], edit, pictures[IDS[1]] if borrowed else None)
    answer = page.evaluate("(edit) => local.asked(edit)", as_message(edit))
    difference = np.abs(planes_of(answer).astype(np.float32) - planes)
    assert difference.mean() < 0.01
    assert difference.max() < 0.2
    found = answer["header"]["colours"]
    assert found["L"] == pytest.approx(colours.L, abs=1e-3)
    assert np.allclose(found["swatches"], colours.swatches, atol=0.05)
    assert np.allclose(found["current"], colours.current, atol=0.2)
    assert np.allclose(found["first"], colours.first, atol=0.2)


@pytest.mark.parametrize("count", [1, 5, 9])
def test_suggestions_are_the_engines(page: Any, count: int) -> None:
    random = np.random.default_rng(count)
    for L, power in ((0.0, 2), (12.0, 9), (55.0, 30), (80.0, 4), (97.0, 12), (100.0, 1)):
        probabilities = (random.random(len(CENTRES)) ** power).astype(np.float32)
        probabilities /= probabilities.sum()
        swatches = suggest(probabilities, CENTRES, L, (0, 0), count).swatches
        found = page.evaluate(
            """async ([probabilities, centres, L, count]) => (await import('/touch/suggest.js'))
            .suggest(new Float32Array(probabilities), new Float32Array(centres), L, count)""",
            [probabilities.tolist(), CENTRES.ravel().tolist(), L, count],
        )
        assert np.allclose(found, [(s.a, s.b, s.confidence) for s in swatches], atol=1e-3)


def test_the_pages_sha256_is_right(page: Any) -> None:
    lengths = [0, 1, 3, 55, 56, 63, 64, 65, 119, 120, 1000, 100_003]
    found = page.evaluate(
        """async (lengths) => { const { sha256 } = await import('/touch/sha256.js');
        return lengths.map((length) => sha256(Uint8Array.from({ length }, (_, i) => (i * 7 + length) % 251))); }""",
        lengths,
    )
    texts = [bytes((i * 7 + length) % 251 for i in range(length)) for length in lengths]
    assert found == [hashlib.sha256(text).hexdigest() for text in texts]


@pytest.mark.parametrize(("points", "lines"), [(2, 2), (100, 40)])
def test_strokes_are_answered_as_by_the_engine(
    page: Any, engine: EngineService, pictures: dict[str, Path], points: int, lines: int
) -> None:
    """Also where there are too many points for the model, and a stroke passes through the place that is asked about."""
    rng = np.random.default_rng(lines)
    drawn = [rng.uniform(0, 1, (rng.integers(1, 9), 2)).round(4).tolist() for _ in range(lines // 2)]
    hints: list[Any] = [[h.x, h.y, h.a, h.b, h.size] for h in hints_of(points - lines // 2)]
    hints += [{"lines": [line], "a": 30.0, "b": 40.0, "size": 5} for line in drawn]
    hints.append({"lines": [[[0.2, 0.2], [0.6, 0.6]], [[0.9, 0.1]]], "a": -60.0, "b": 20.0, "size": 3})
    message = {"photo": IDS[0], "hints": hints, "point": (0.41, 0.41)}
    edit = msgspec.convert({"type": "edit", "seq": 0, **message}, Edit)
    planes, colours = expected(engine, pictures[IDS[0]], edit)
    answer = page.evaluate("(edit) => local.asked(edit)", message)
    difference = np.abs(planes_of(answer).astype(np.float32) - planes)
    assert difference.mean() < 0.01
    assert difference.max() < 0.2
    assert np.allclose(answer["header"]["colours"]["swatches"], colours.swatches, atol=0.05)


@pytest.mark.parametrize(("name", "most"), [("features10", 1.0), ("features8", 4.0)])
def test_coarser_features_are_near(
    page: Any, site: Site, engine: EngineService, pictures: dict[str, Path], name: str, most: float
) -> None:
    """The distance in ab that 99.9 % of the pixels stay within."""
    edit = Edit(0, IDS[0], tuple(HintMessage(h.x, h.y, h.a, h.b, h.size) for h in hints_of(5)))
    planes, _ = expected(engine, pictures[IDS[0]], edit)
    set_up(page, f"/{IDS[0]}/{name}.bin")
    answer = page.evaluate("(edit) => local.asked(edit)", as_message(edit))
    distance = np.hypot(*(planes_of(answer).astype(np.float32) - planes).transpose(2, 0, 1))
    assert np.quantile(distance, 0.999) < most


def test_the_latest_of_many_edits_wins_also_while_files_are_loading(page: Any) -> None:
    set_up(page)
    seqs = page.evaluate(
        """(ids) => {
        const send = (id, x, point) => local.link.send({ photo: id, hints: [[x, 0.5, 20, 30, 5]], point });
        local.first = send(ids[0], 0.1, null);
        send(ids[1], 0.2, [0.5, 0.5]);
        for (let i = 0; i < 30; i += 1) local.last = send(ids[1], 0.2 + i / 100, null);
        return [local.first, local.last]; }""",
        list(IDS),
    )
    until(lambda: page.evaluate("local.answerTo(local.last) !== undefined"), "the last answer")
    answered = page.evaluate("local.log.filter(([kind]) => kind === 'reply').map(([, { header }]) => header.seq)")
    assert answered == sorted(answered) and answered[-1] == seqs[1] and len(answered) < 10
    assert page.evaluate("local.log.filter(([kind]) => kind === 'message').length") == 0
    # The question for colours was not lost to the edits that overtook it.
    assert page.evaluate("local.log.some(([kind, d]) => kind === 'reply' && d.header.colours)")


@pytest.fixture
def broken(site: Site) -> Iterator[dict[str, tuple[bytes, str]]]:
    """The site's files, to be changed by one test."""
    kept = dict(site.files)
    yield site.files
    site.files.clear()
    site.files.update(kept)


def changed_content(data: bytes) -> bytes:
    """A packed file with one other byte in its content, which gzip's own sum fits."""
    plain = bytearray(gzip.decompress(data))
    plain[-1] ^= 1
    return gzip.compress(bytes(plain))


DAMAGE = {
    "missing": (lambda data: None, "cannot be loaded: status 404"),
    "empty": (lambda data: b"", "is no file of features"),
    "truncated": (lambda data: data[: len(data) // 2], "is truncated or damaged"),
    "shortened": (lambda data: gzip.compress(gzip.decompress(data)[:-500]), "is truncated"),
    "another hash": (changed_content, "its SHA-256 is another one"),
    "another model": (
        lambda data: gzip.compress(re.sub(rb'"model":"\w{4}', b'"model":"none', gzip.decompress(data), count=1)),
        "is of the model none",
    ),
    "no packed file": (lambda data: gzip.compress(b"<html>not found</html>"), "is no file of features of format 1"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_picture_is_one_sentence_and_the_next_edit_is_answered(
    page: Any, broken: dict[str, tuple[bytes, str]], damage: str
) -> None:
    change, detail = DAMAGE[damage]
    name = f"/{IDS[0]}/features.bin"
    data, kind = broken[name]
    changed = change(data)
    broken[f"/{IDS[0]}/damaged.bin"] = (changed, kind) if changed is not None else (b"", "")
    set_up(page, f"/{IDS[0]}/damaged.bin")
    told = page.evaluate("(edit) => local.asked(edit)", {"photo": IDS[0], "hints": []})
    assert told["type"] == "refused"
    assert told["sentence"] == "This picture is incomplete or damaged. Please choose another one."
    assert detail in told["detail"]
    broken[f"/{IDS[0]}/damaged.bin"] = broken[name]
    assert "planes" in page.evaluate("(edit) => local.asked(edit)", {"photo": IDS[0], "hints": []})


@pytest.mark.parametrize(
    ("file", "data", "reason", "detail"),
    [
        ("/heads.bin", b"", "damaged", "is no file of heads"),
        ("/heads.bin", None, "missing", "status 404"),
        ("/touch/kernels.wasm", b"\0asm", "damaged", "its SHA-256 is another one"),
        ("/touch/worker.js", None, "missing", "the worker cannot be loaded"),
    ],
)
def test_a_page_that_cannot_compute_says_so_once(
    page: Any, broken: dict[str, tuple[bytes, str]], file: str, data: bytes | None, reason: str, detail: str
) -> None:
    broken[file] = (data or b"", broken[file][1] if data is not None else "")
    set_up(page)
    failed = "local.log.filter(([kind]) => kind === 'fault').map(([, facts]) => facts)"
    until(lambda: page.evaluate(failed), "the failure")
    (told,) = page.evaluate(failed)
    assert told["reason"] == reason and detail in told["detail"]
    assert told["sentence"] == "Part of this page is missing or damaged. Please load it again."


def test_heads_of_another_form_are_refused(page: Any, broken: dict[str, tuple[bytes, str]]) -> None:
    plain = gzip.decompress(broken["/heads.bin"][0])
    broken["/heads.bin"] = gzip.compress(plain.replace(b"hint-attention-3", b"hint-attention-9", 1)), "text/plain"
    set_up(page)
    failed = "local.log.find(([kind]) => kind === 'fault')?.[1].detail"
    assert "of the form hint-attention-9; this page computes hint-attention-3" in until(
        lambda: page.evaluate(failed), "the failure"
    )
