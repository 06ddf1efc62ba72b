"""Which files of a folder are photographs, what their copies are called, and what is refused before work starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from livetint.archive.plan import Plan, check_case, make_plan
from livetint.engine.errors import ConfigError, OutputError


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    (tmp_path / "scans").mkdir()
    return tmp_path / "scans"


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def outputs(plan: Plan) -> dict[str, str]:
    return {photograph.name: photograph.output for photograph in plan.photographs}


def test_copies_have_the_names_of_their_sources(scans: Path, tmp_path: Path):
    write(scans, "b.JPG", "a/x.tif", "a/deep/y.webp", "old.jp2", "phone.heic", "page.gif", "two.dots.bmp")
    assert outputs(make_plan([scans], tmp_path / "out")) == {
        "a/deep/y.webp": "a/deep/y.webp",
        "a/x.tif": "a/x.tif",
        "b.JPG": "b.JPG",
        "old.jp2": "old.png",
        "page.gif": "page.png",
        "phone.heic": "phone.png",
        "two.dots.bmp": "two.dots.png",
    }


def test_photographs_come_in_the_order_of_their_names(scans: Path, tmp_path: Path):
    write(scans, "b/2.png", "b/1.png", "a/9.png", "z.png")
    assert [p.name for p in make_plan([scans], tmp_path / "out").photographs] == [
        "z.png", "a/9.png", "b/1.png", "b/2.png"
    ]  # fmt: skip


def test_files_that_are_not_photographs_are_named(scans: Path, tmp_path: Path):
    write(scans, "a.png", "notes.txt", "raw.NEF", ".hidden.png", "._a.png", ".trash/b.png")
    os.mkfifo(scans / "pipe.png")
    (scans / "gone.png").symlink_to(scans / "nothing.png")
    plan = make_plan([scans], tmp_path / "out")
    assert list(outputs(plan)) == ["a.png"]
    assert sorted(plan.passed_over) == [
        f"{scans}/gone.png (cannot be read: No such file or directory)",
        f"{scans}/notes.txt (not a picture)",
        f"{scans}/pipe.png (not an ordinary file)",
        f"{scans}/raw.NEF (not a picture of a kind that is coloured; save it as JPEG, PNG or TIFF)",
    ]


def test_links_out_of_the_folder_are_not_followed(scans: Path, tmp_path: Path):
    write(tmp_path, "secret/s.png", "s.hints.json")
    write(scans, "a.png", "b.png")
    (scans / "folder").symlink_to(tmp_path / "secret")
    (scans / "file.png").symlink_to(tmp_path / "secret" / "s.png")
    (scans / "inside.png").symlink_to("a.png")
    (scans / "b.png.hints.json").symlink_to(tmp_path / "s.hints.json")
    plan = make_plan([scans], tmp_path / "out")
    assert list(outputs(plan)) == ["a.png", "inside.png"]
    assert len(plan.passed_over) == 3 and all("link" in line for line in plan.passed_over)


def test_a_folder_that_is_a_link_may_be_given(scans: Path, tmp_path: Path):
    write(scans, "a.png")
    (tmp_path / "link").symlink_to(scans)
    assert list(outputs(make_plan([tmp_path / "link"], tmp_path / "out"))) == ["a.png"]


def test_hints_lie_beside_their_photograph(scans: Path, tmp_path: Path):
    write(scans, "a.png", "a.png.hints.json", "b.png", "a.jpg")
    found = {p.name: p.hints for p in make_plan([scans], tmp_path / "out").photographs}
    assert found == {"a.jpg": None, "a.png": scans / "a.png.hints.json", "b.png": None}


def test_the_output_folder_is_not_a_source(scans: Path):
    write(scans, "a.png", "out/a.png")
    assert list(outputs(make_plan([scans], scans / "out"))) == ["a.png"]


def test_a_folder_that_cannot_be_read_is_reported(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(scans, "a.png", "closed/b.png")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    plan = make_plan([scans], tmp_path / "out")
    assert list(outputs(plan)) == ["a.png"]
    assert plan.unreadable == [f"the folder {scans}/closed cannot be read: Permission denied"]


@pytest.mark.parametrize(
    ("names", "sources", "words"),
    [
        (["a.jp2", "a.png"], ["."], "would both become a.png"),
        (["one/a.png", "two/a.png"], ["one", "two"], "would both become a.png"),
        (["a.png", "a.png"], ["a.png", "a.png"], "would both become a.png"),
        (["x.gif", "x.png/y.png"], ["."], "needs a folder"),
    ],
)
def test_two_copies_with_one_name_are_refused(scans: Path, names: list[str], sources: list[str], words: str):
    write(scans, *names)
    with pytest.raises(OutputError, match=words):
        make_plan([scans / source for source in sources], scans.parent / "out")


def test_an_output_folder_that_does_not_tell_case_refuses_names_that_differ_in_it(scans: Path, tmp_path: Path):
    write(scans, "a.png", "A.png")
    plan = make_plan([scans], tmp_path / "out")
    with pytest.raises(OutputError, match="upper from lower case"):
        check_case(plan.photographs)


@pytest.mark.parametrize(("source", "out"), [(".", "."), ("a.png", "."), ("sub", "sub/../sub"), ("x", ".")])
def test_a_copy_never_replaces_a_photograph(scans: Path, source: str, out: str):
    write(scans, "a.png", "sub/b.png", "x/x/c.png", "x/c.png")
    (scans / "link.png").symlink_to("a.png")
    with pytest.raises(OutputError, match="choose another folder for -o"):
        make_plan([scans / source], scans / out if out != "." or source != "x" else scans / "x" / "x" / "..")


def test_an_output_that_is_a_link_to_a_photograph_is_refused(scans: Path, tmp_path: Path):
    write(scans, "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").symlink_to(scans / "a.png")
    with pytest.raises(OutputError, match="is one of the photographs"):
        make_plan([scans], tmp_path / "out")


@pytest.mark.parametrize("name", ["nothing", "dangling.png", "pipe.png"])
def test_a_source_that_is_not_there_is_refused(scans: Path, name: str):
    (scans / "dangling.png").symlink_to("nothing")
    os.mkfifo(scans / "pipe.png")
    with pytest.raises(ConfigError, match=name):
        make_plan([scans / name], scans.parent / "out")
