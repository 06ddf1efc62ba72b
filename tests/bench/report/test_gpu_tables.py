"""Tables from `bench gpu`: those in the README and docs/gpu.md are what the committed files give."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from livetint.bench.report import page
from livetint.cli.__main__ import main
from livetint.engine.errors import ConfigError

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "docs" / "gpu").glob("*.json"))
PLACES = {"README.md": page.GPU, "docs/gpu.md": page.GPU_DETAILS}


def block(text: str, mark: str) -> str:
    start, end = page.marks(mark)
    return text.split(f"{start}\n")[1].split(end)[0]


@pytest.mark.parametrize(("name", "mark"), PLACES.items())
def test_the_documents_show_what_was_measured(name: str, mark: str):
    shown = page.blocks([page.read_result(path) for path in FILES])
    assert block((ROOT / name).read_text("utf-8"), mark) == shown[mark], (
        "run `livetint bench report docs/gpu/*.json --markdown README.md --markdown docs/gpu.md`"
    )


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "gpu").iterdir()), ids=lambda path: path.name)
def test_what_is_published_is_small_and_names_no_folder(path: Path):
    text = path.read_text("utf-8")
    assert len(text) < 200_000 and not re.search(r"(?<![\w.…])~?/\w+/", text)


def test_a_newer_file_replaces_the_figures_by_one_command(tmp_path: Path):
    result = json.loads(FILES[0].read_text("utf-8"))
    result["models"]["touch"]["stages"] = {"seconds": 6.3, "kernels": stages(0.05)}
    result |= {"hints": [1, 16], "warnings": [], "aims": [{"aim": "a touch", "limit": 0.1, "found": 0.2, "met": False}]}
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps(result))
    documents = [shutil.copy(ROOT / name, tmp_path) for name in PLACES]
    main(["bench", "report", str(newer), *(word for path in documents for word in ("--markdown", str(path)))])
    readme, details = (Path(path).read_text("utf-8") for path in documents)
    assert "| touch, the touch stage with 16 hints in fp32 | 0.05 | 0.05 | 4.08 | 0.512 |" in readme
    assert "| touch → ab, by the host | 0.05 | 0.05 |" in details and "| a touch | 0.1 | 0.2 | missed |" in details
    assert "Caution" not in readme and readme.count("<!-- bench -->") == 1, "the table of the CPU stays"


def stages(ms: float) -> dict[str, Any]:
    """Times of a touch, all the same."""
    one = {"p50": ms}
    whole = {"direct": one, "graph": one, "host": one, "sum_of_steps": {"direct": ms, "graph": ms}}
    names = ("network", "match hints", "outside the network", "touch → ab", "touch → picture, not copied")
    times = {"steps": {"upload": {"direct": ms, "graph": ms}}, **dict.fromkeys((*names, "touch → picture"), whole)}
    return {"encoder": {"direct": one, "graph": one}, "hints": {"1": times, "16": times}}


def test_a_run_in_which_nothing_could_be_done_is_shown():
    result = json.loads(FILES[0].read_text("utf-8"))
    result |= {"kernels": {"not_done": "left out"}, "torch": {"not_done": "no torch"}, "aims": [], "warnings": [],
               "models": {"touch": {"not_done": "gone", "build": {"not_done": "no TensorRT"}}}}  # fmt: skip
    text = page.markdown([result])
    assert "touch, build: not done: no TensorRT." in text and "One NVIDIA" in text


def test_files_of_the_first_schema_are_refused(tmp_path: Path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"kind": "gpu", "schema": 1}))
    with pytest.raises(ConfigError, match="no result that the report shows"):
        page.read_result(path)
