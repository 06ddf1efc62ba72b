"""The staff page: what it shows, and changes of an exhibition's folder, by requests as a browser sends them."""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import shutil
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from livetint.cli.doctor import examine
from livetint.engine.files import read_toml
from livetint.kiosk.server.exhibition import bundled_photos
from livetint.kiosk.server.staff.html import LANGUAGE_NAMES
from livetint.kiosk.server.staff.words import FOLDER, staff_words
from livetint.kiosk.settings import LANGUAGES
from PIL import Image

from ..needs import needs
from .page import Visitor
from .running import PATIENCE_S, RunningKiosk, until
from .test_accessible import violations
from .test_server import controls, edit, first_picture, free_port, reply
from .test_uploads import picture

TOKEN = "a-long-enough-token"
LIST = """# Our pictures
schema = 1

[[photograph]]
file = "coffee.jpg" # the best one
title = "Coffee"
rights = "ours"
hints = [[0.5, 0.5, 10.0, 20.0]]

[[photograph]]
file = "second.jpg"
title = "Second"
"""


class StaffKiosk(RunningKiosk):
    """A kiosk with a staff page."""

    def __init__(self, folder: Path, stub: Path, **tables: Any) -> None:
        self.staff_port = free_port()
        super().__init__(folder, stub, operator={"token": TOKEN, "port": self.staff_port}, **tables)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.staff_port}"

    def ask(
        self,
        path: str,
        form: dict[str, str] | None = None,
        body: bytes | None = None,
        token: str = TOKEN,
        **headers: str,
    ) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers. With a form or a body: a POST with the page's own Origin."""
        login = "Basic " + base64.b64encode(f"staff:{token}".encode()).decode()
        given = {
            "Authorization": login,
            **({"Origin": self.origin} if form or body is not None else {}),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        data = urllib.parse.urlencode(form).encode() if form else body
        connection = http.client.HTTPConnection("127.0.0.1", self.staff_port, timeout=PATIENCE_S)
        connection.request("GET" if data is None else "POST", path, data, given)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode("utf-8", "replace"), {k.lower(): v for k, v in answer.getheaders()}
        connection.close()
        return found

    def edition(self) -> str:
        """What the page of all photographs was made of."""
        return re.findall(r'name="edition" value="(\w+)"', self.ask("/photographs")[1])[0]


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("staff") / "show"


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wall")


@pytest.fixture(scope="module")
def venue(stub: Path, show: Path, wall: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StaffKiosk]:
    fill(show)
    running = StaffKiosk(
        tmp_path_factory.mktemp("kiosk"), stub, gallery={"folder": str(show)}, wall={"folder": str(wall)}
    )
    yield running
    running.close()


@pytest.fixture(autouse=True)
def fresh(request: pytest.FixtureRequest, show: Path) -> None:
    if "venue" in request.fixturenames:
        request.getfixturevalue("venue")
        fill(show)


def fill(show: Path) -> None:
    """The exhibition as it was."""
    show.mkdir(exist_ok=True)
    for path in show.iterdir():
        if path.name not in ("coffee.jpg", "second.jpg"):
            path.unlink()
    if not (show / "second.jpg").exists():
        shutil.copy(bundled_photos() / "coffee.jpg", show / "coffee.jpg")
        Image.open(bundled_photos() / "coffee.jpg").rotate(180).save(show / "second.jpg")
    (show / "photographs.toml").write_text(LIST)


def files_of(show: Path) -> list[str]:
    return [table["file"] for table in read_toml(show / "photographs.toml")["photograph"]]


# Reading


def test_all_of_it_is_behind_the_token_and_the_own_origin(venue: StaffKiosk) -> None:
    for path in ("/", "/photographs", "/photographs/edit?file=coffee.jpg", "/wall", "/staff/points.js", "/lab.json"):
        assert venue.ask(path, token="wrong-but-long-enough")[0] == 401, path
    for path in ("/photographs/save", "/photographs/add?name=a.jpg", "/photographs/copy", "/wall/remove"):
        assert venue.ask(path, {"a": "b"}, token="wrong-but-long-enough")[0] == 401, path
        for origin in (venue.address[:-1], "https://evil.example", "null"):
            assert venue.ask(path, {"a": "b"}, Origin=origin)[0] == 403, (path, origin)
    assert venue.ask("/", Host="evil.example")[0] == 403
    log = venue.log.read_text()
    assert f'"address": "{venue.origin}/"' in log
    assert TOKEN not in log


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_speaks_the_languages_of_the_visitors(venue: StaffKiosk, language: str) -> None:
    words = staff_words(language)
    assert words.keys() == staff_words("en").keys()
    assert all(words.values())
    for key, text in words.items():
        assert re.findall(r"{\w+}", text) == re.findall(r"{\w+}", staff_words("en")[key]), key
    status, text, _ = venue.ask("/", Accept_Language=language)
    assert status == 200
    assert f'<html lang="{language}"' in text
    assert words["working"] in text


def test_a_chosen_language_stays(venue: StaffKiosk) -> None:
    _, text, headers = venue.ask("/?language=ar", Accept_Language="de")
    assert 'dir="rtl"' in text
    cookie = headers["set-cookie"].partition(";")[0]
    assert 'lang="ar" dir="rtl"' in venue.ask("/wall", Cookie=cookie)[1]
    assert 'lang="en"' in venue.ask("/", Cookie=cookie.replace("=ar", "=xx"))[1]


def test_every_word_it_uses_is_in_the_files() -> None:
    sources = "".join(
        path.read_text("utf-8") for path in (Path(__file__).parents[2] / "kiosk/server/staff").glob("*.py")
    )
    used = set(re.findall(r'say\("(\w+)"', sources)) | set(re.findall(r'NotChanged\("(\w+)"', sources))
    assert len(used) > 40
    assert used <= staff_words("en").keys()
    script = (FOLDER.parent / "language.js").read_text("utf-8")
    assert all(f"{code}: '{name}'" in script for code, name in LANGUAGE_NAMES.items())
    assert len(list(FOLDER.glob("words.*.json"))) == len(LANGUAGES)


def test_use_of_each_photograph_is_counted_without_the_attract_loop(venue: StaffKiosk) -> None:
    with controls(venue) as socket:
        photo = first_picture(venue)

        def paint(state: str, seq: int) -> None:
            socket.send(json.dumps({"type": "beat", "state": state}))
            until(lambda: venue.status()["page"] == state, "the beat")
            socket.send(edit(photo, seq))
            reply(socket)

        paint("attract", 1)
        assert usage_row(venue, "Coffee") == ["0", "0", "0"]
        paint("painting", 2)
        paint("painting", 3)
        assert venue.get("/save/download", "POST", edit(photo).encode(), Origin=venue.address[:-1])[0] == 200
        assert usage_row(venue, "Coffee") == ["1", "2", "1"]
        assert staff_words("en")["page_painting"] in venue.ask("/")[1]


def usage_row(venue: StaffKiosk, title: str) -> list[str]:
    """Opened, changes and saves of a photograph."""
    row = re.search(rf"<th scope='row'>{title}</th>((?:<td>\d+</td>)+)", venue.ask("/")[1])
    assert row
    return re.findall(r"\d+", row[1])


def test_doctor_names_the_address_and_never_the_token(tmp_path: Path) -> None:
    config = tmp_path / "kiosk.toml"
    for text, expected in (
        (f"[operator]\ntoken = '{TOKEN}'\nport = 8123\n", "http://127.0.0.1:8123/"),
        ("[operator]\nport = 8123\n", "sets no operator.token"),
        ("nonsense [", "unknown"),
        ("", "sets no operator.token"),
    ):
        config.write_text(text)
        told = examine(config)["staff_page"]
        assert expected in told
        assert TOKEN not in told
    assert "no settings" in examine(tmp_path / "none.toml")["staff_page"]


# Writing


def test_a_change_keeps_comments_order_and_unknown_keys(venue: StaffKiosk, show: Path) -> None:
    (show / "photographs.toml").write_text(LIST.replace('rights = "ours"', 'rights = "ours"\nshelf = "B 12"'))
    (show / "captions.de.toml").write_text('# Deutsch\n["coffee.jpg"]\ntitle = "Kaffee"\nmood = "warm"\n')
    form = {
        "file": "coffee.jpg", "edition": venue.edition(), "title": "Coffee & <cake>", "photographer": "A", "year": "",
        "source": "", "rights": "ours", "hints": "[[0.25,0.75,5,-20.04]]", "title.de": "Kaffee", "caption.de": "Gut.",
        "title.fr": "", "caption.fr": "Bon.", "title.en": "", "caption.en": "",
    }  # fmt: skip
    status, _, headers = venue.ask("/photographs/save", form)
    assert (status, headers["location"]) == (303, "/photographs")
    text = (show / "photographs.toml").read_text()
    for kept in ("# Our pictures", "# the best one", 'shelf = "B 12"'):
        assert kept in text
    first = read_toml(show / "photographs.toml")["photograph"][0]
    assert (first["title"], first["photographer"]) == ("Coffee & <cake>", "A")
    assert first["hints"] == [[0.25, 0.75, 5.0, -20.0]]
    assert "year" not in first
    german = (show / "captions.de.toml").read_text()
    assert "# Deutsch" in german
    assert read_toml(show / "captions.de.toml")["coffee.jpg"] == {"title": "Kaffee", "mood": "warm", "caption": "Gut."}
    assert read_toml(show / "captions.fr.toml")["coffee.jpg"] == {"title": "Coffee & <cake>", "caption": "Bon."}
    assert not (show / "captions.en.toml").exists()
    assert "shelf" in re.findall(r'role="alert">([^<]*)', venue.ask("/photographs")[1])[0], "why it is not on show"
    assert "Coffee &amp; &lt;cake&gt;" in venue.ask("/photographs")[1]


def test_hints_painted_here_are_those_of_the_attract_loop(venue: StaffKiosk) -> None:
    form = {
        "file": "coffee.jpg",
        "edition": venue.edition(),
        "title": "Coffee",
        "hints": "[[0.1,0.2,3,4],[0.5,0.5,1,1]]",
    }
    assert venue.ask("/photographs/save", form)[0] == 303
    told = json.loads(venue.get("/settings.json")[1])["pictures"]
    assert told[0]["hints"] == [[0.1, 0.2, 3.0, 4.0], [0.5, 0.5, 1.0, 1.0]]
    photo = told[0]["id"]
    query = urllib.parse.urlencode({"hints": json.dumps(told[0]["hints"])})
    assert venue.ask(f"/photographs/{photo}/coloured.jpg?{query}")[2]["content-type"] == "image/jpeg"
    status, text, _ = venue.ask(f"/photographs/{photo}/colours.json?point=0.3,0.4&{query}")
    assert status == 200
    assert len(json.loads(text)["swatches"]) > 1
    assert json.loads(venue.ask("/lab.json?colour=%23808080")[1]) == pytest.approx({"a": 0, "b": 0}, abs=0.1)
    for path in (
        f"/photographs/{photo}/colours.json?point=7,7",
        f"/photographs/{photo}/coloured.jpg?hints=x",
        "/lab.json",
    ):
        assert venue.ask(path)[0] == 400, path
    assert venue.ask("/photographs/0000000000000000/coloured.jpg")[0] == 404


def test_photographs_are_ordered_and_removed(venue: StaffKiosk, show: Path) -> None:
    assert venue.ask("/photographs/move", {"file": "second.jpg", "step": "-1", "edition": venue.edition()})[0] == 303
    assert files_of(show) == ["second.jpg", "coffee.jpg"]
    assert json.loads(venue.get("/settings.json")[1])["pictures"][0]["title"] == "Second"
    assert venue.ask("/photographs/move", {"file": "second.jpg", "step": "-1", "edition": venue.edition()})[0] == 303
    assert files_of(show) == ["second.jpg", "coffee.jpg"]
    (show / "captions.de.toml").write_text('["second.jpg"]\ntitle = "Zweites"\n')
    assert venue.ask("/photographs/remove", {"file": "second.jpg", "edition": venue.edition()})[0] == 303
    assert files_of(show) == ["coffee.jpg"]
    assert read_toml(show / "captions.de.toml") == {}
    assert (show / "second.jpg").exists(), "the file stays"
    status, text, _ = venue.ask("/photographs/remove", {"file": "coffee.jpg", "edition": venue.edition()})
    assert status == 422
    assert staff_words("en")["last_photograph"] in text


def test_a_photograph_is_added_after_a_child_has_looked_at_it(venue: StaffKiosk, show: Path) -> None:
    data = picture("PNG")
    status, text, _ = venue.ask("/photographs/add?name=../../Old%20Harbour%21.PNG", body=data)
    assert (status, json.loads(text)) == (201, {"file": "old-harbour.png"})
    assert (show / "old-harbour.png").read_bytes() == data
    assert files_of(show) == ["coffee.jpg", "second.jpg", "old-harbour.png"]
    again = json.loads(venue.ask("/photographs/add?name=Old Harbour.png".replace(" ", "%20"), body=data)[1])["file"]
    assert again != "old-harbour.png"
    before = sorted(path.name for path in show.iterdir())
    for name, content in (("a.exe", data), ("a.jpg", data[:300]), ("", data)):
        assert venue.ask(f"/photographs/add?name={name}", body=content)[0] == 422, name
    assert sorted(path.name for path in show.iterdir()) == before


def test_two_staff_pages_at_once_lose_nothing(venue: StaffKiosk, show: Path) -> None:
    edition = venue.edition()
    first = {"file": "coffee.jpg", "edition": edition, "title": "By the first", "hints": "[]"}
    assert venue.ask("/photographs/save", first)[0] == 303
    status, text, _ = venue.ask("/photographs/save", {**first, "title": "By the second"})
    assert status == 409
    assert staff_words("en")["stale"] in text
    assert read_toml(show / "photographs.toml")["photograph"][0]["title"] == "By the first"


def test_a_list_with_a_mistake_is_left_alone_and_named(venue: StaffKiosk, show: Path) -> None:
    edition = venue.edition()
    (show / "photographs.toml").write_text("nonsense [")
    status, text, _ = venue.ask("/photographs")
    assert status == 200
    assert "photographs.toml" in text
    assert "mended by hand" in text
    form = {"file": "coffee.jpg", "edition": edition, "title": "T"}
    assert venue.ask("/photographs/save", form)[0] == 409
    assert (show / "photographs.toml").read_text() == "nonsense ["
    assert venue.ask("/photographs/edit?file=coffee.jpg")[0] == 409


def test_bad_forms_are_refused_in_a_sentence(venue: StaffKiosk, show: Path) -> None:
    before = (show / "photographs.toml").read_text()
    form = {"file": "coffee.jpg", "edition": venue.edition(), "title": "T"}
    for changed, status in (
        ({"title": " "}, 422), ({"hints": "[[7,7,0,0]]"}, 422), ({"hints": "x"}, 422), ({"file": "no.jpg"}, 409),
    ):  # fmt: skip
        assert venue.ask("/photographs/save", {**form, **changed})[0] == status, changed
    assert venue.ask("/photographs/save", {"a": "b" * 300_000})[0] == 409
    assert venue.ask("/photographs/edit?file=../kiosk.toml")[0] == 404
    assert venue.ask("/photographs/nonsense", form)[0] == 404
    assert (show / "photographs.toml").read_text() == before


# The wall


def test_staff_take_a_picture_off_the_wall_at_once(venue: StaffKiosk, wall: Path) -> None:
    assert staff_words("en")["wall_empty"] in venue.ask("/wall")[1]
    photo = first_picture(venue)
    with controls(venue):  # the visit of a page that has left ends meanwhile
        assert venue.get("/save/wall?agreed=yes", "POST", edit(photo).encode(), Origin=venue.address[:-1])[0] == 200
    [path] = wall.iterdir()
    assert max(Image.open(io.BytesIO(path.read_bytes())).size) <= 1600
    assert json.loads(venue.get("/wall.json")[1])["pictures"] == [path.name]
    assert venue.get(f"/wall/{path.name}")[0] == 200
    assert venue.ask(f"/wall/{path.name}")[0] == 200
    for name in ("../photographs.toml", "..%2Fkiosk.toml", ".hidden.jpg", "none.jpg"):
        assert venue.get(f"/wall/{name}")[0] == 404, name
        venue.ask("/wall/remove", {"name": name})
    assert path.exists()
    assert venue.ask("/wall/remove", {"name": path.name})[0] == 303
    assert not path.exists()
    assert venue.get(f"/wall/{path.name}")[0] == 404
    assert json.loads(venue.get("/wall.json")[1])["pictures"] == []


def test_without_a_wall_there_is_nothing_of_it(kiosk: RunningKiosk) -> None:
    for path in ("/wall", "/wall.json", "/wall/a.jpg"):
        assert kiosk.get(path)[0] == 404, path
    origin = kiosk.address.rstrip("/")
    assert kiosk.get("/save/wall?agreed=yes", "POST", edit(first_picture(kiosk)).encode(), Origin=origin)[0] == 404


@needs("chromium")
def test_in_a_browser_points_are_painted_and_axe_finds_nothing(browser: Any, venue: StaffKiosk, show: Path) -> None:
    login = {"username": "", "password": TOKEN}
    visitor = Visitor(browser, venue.address, bypass_csp=True, http_credentials=login)
    page = visitor.page
    found = {}
    for path in ("/", "/photographs", "/wall?language=ar", "/?language=en"):
        page.goto(venue.origin + path)
        found[path] = violations(visitor)
    page.goto(f"{venue.origin}/photographs/edit?file=second.jpg")
    box = page.locator("#place").bounding_box()
    assert box
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
    until(lambda: page.locator("#swatches button").count() > 2, "the likely colours")
    page.locator("#swatches button").nth(2).click()
    found["edit"] = violations(visitor)
    page.fill("[name=title]", "Zweites")
    page.click("form.editor button.primary")
    page.wait_for_url("**/photographs")
    second = read_toml(show / "photographs.toml")["photograph"][1]
    assert second["title"] == "Zweites"
    [[x, y, a, b]] = second["hints"]
    assert (x, y) == pytest.approx((0.25, 0.75), abs=0.01)
    assert abs(a) + abs(b) > 1
    page.goto(venue.address + "wall")
    found["wall"] = violations(visitor)
    assert {state: faults for state, faults in found.items() if faults} == {}
    visitor.close()
