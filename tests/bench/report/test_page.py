"""The report: self-contained, other test sets marked as such, no file overwritten without its marks."""

from __future__ import annotations

import json
import re

import pytest
from livetint.bench.accuracy import curve
from livetint.bench.accuracy.photo_set import PhotoSet
from livetint.bench.accuracy.protocols import PROTOCOLS
from livetint.bench.accuracy.published import OFFICIAL_DB, official_gain
from livetint.bench.accuracy.run import Plan
from livetint.bench.latency.against import Against
from livetint.bench.report import page
from livetint.cli.__main__ import main
from livetint.engine.errors import ConfigError

from ...needs import needs
from ..stubs import ConstantRunner, hasten, measured, write_photos
from .test_compare import result, slowed


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = write_photos(tmp_path_factory.mktemp("photos"), 3)
    runner = ConstantRunner((10.0, 20.0))
    plan = Plan(PROTOCOLS["zhang17"], (0, 1, 10), global_kinds=("hist",))
    stream = PhotoSet(folder).pictures(plan.protocol, 256)
    quality = curve.as_table(curve.measure(runner, stream, plan), 256)
    quality |= {"model": {"name": "con<stant"}, "command": "livetint bench accuracy"}
    with pytest.MonkeyPatch.context() as patch:
        hasten(patch)
        speed, _ = measured(runner, (16,), Against(ConstantRunner()))
    return [quality, speed]


def test_the_published_curve_is_that_of_the_paper():
    gain = official_gain()
    assert gain[0] == pytest.approx(1.615) and gain[10] == pytest.approx(5.603) and gain[100] == pytest.approx(8.305)
    assert list(OFFICIAL_DB) == sorted(OFFICIAL_DB) and len(OFFICIAL_DB) == 26


@needs("matplotlib")
def test_the_page_loads_nothing_and_holds_the_raw_results(tables):
    html = page.page(tables)
    assert html.count("<svg") == 2
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", html.replace("http://www.w3.org", ""))
    raw = re.search(r'id="results">(.*?)</script>', html, re.S)
    assert raw and json.loads(raw.group(1)) == json.loads(json.dumps(tables))
    assert "con<stant" not in html.replace(raw.group(1), "")
    assert "another test set" in html


def test_markdown_shows_gains_errors_and_ratios_and_a_dash_for_too_few_samples(tables):
    text = page.markdown(tables)
    assert "| 0 points | 1 point | 10 points |" in text
    assert "±" in text and "another test set" in text
    assert re.search(r"\| touch_to_ab_16 \| \d+ \| [\d.]+ \| – \| – \|", text)
    assert "times as long" in text


def test_icolorit_is_never_shown_with_the_published_curve_of_zhang17(tables):
    other = {**tables[0], "protocol": "icolorit"}
    assert "another test set" not in page.markdown([other])


def test_a_readme_is_updated_only_between_its_marks():
    start, end = page.marks("bench")
    before = f"# Mine\n{start}\nold\n{end}\nthe rest\n"
    after = page.into_markdown(before, {"bench": "new\n", "bench gpu": "else\n"})
    assert after == f"# Mine\n{start}\nnew\n{end}\nthe rest\n"
    assert page.into_markdown(after, {"bench": "new\n"}) == after
    for text in ("# Mine\n", f"# Mine\n{start}\nold\n", f"{end}\n{start}\n"):
        with pytest.raises(ConfigError, match="lacks the lines"):
            page.into_markdown(text, {"bench": "new\n"})


def test_each_kind_of_result_has_marks_of_its_own():
    text = "".join(f"{start}\n{end}\n" for start, end in map(page.marks, ("bench", "bench gpu", "bench gpu details")))
    filled = page.into_markdown(text, {"bench gpu": "brief\n", "bench gpu details": "all\n"})
    assert filled == (
        "<!-- bench -->\n<!-- /bench -->\n<!-- bench gpu -->\nbrief\n<!-- /bench gpu -->\n"
        "<!-- bench gpu details -->\nall\n<!-- /bench gpu details -->\n"
    )


def call(*arguments):
    with pytest.raises(SystemExit) as leaving:
        main(["bench", "report", *map(str, arguments)])
    return leaving.value.code


@pytest.fixture
def files(tmp_path, tables):
    def write(name, table):
        path = tmp_path / name
        path.write_text(json.dumps(table))
        return path

    speed = tables[1]
    merged = {**speed, **{key: result()[key] for key in ("relative", "threads", "device")}}
    return {
        "old": write("old.json", merged),
        "same": write("same.json", {**merged, **result(7)}),
        "slow": write("slow.json", {**merged, **slowed(result(7), 1.2)}),
        "accuracy": write("accuracy.json", tables[0]),
        "text": write("text.json", "hello"),
    }


def test_a_slower_build_gives_exit_code_1(files, capsys):
    assert call(files["slow"], "--compare", files["old"]) == 1
    assert "Comparison: **slower**" in capsys.readouterr().out


def test_the_same_build_gives_exit_code_0_and_writes_its_table(files, tmp_path, capsys):
    main(["bench", "report", str(files["same"]), "--compare", str(files["old"]), "--markdown", str(tmp_path / "t.md")])
    assert "Comparison: **same**" in capsys.readouterr().out
    assert "| touch_to_ab_16 |" in (tmp_path / "t.md").read_text()


def test_other_files_are_refused_in_one_line(files, tmp_path, capsys):
    for arguments in (
        (files["text"],),
        (tmp_path / "missing.json",),
        (files["accuracy"], "--compare", files["old"]),
        (files["same"], "--compare", files["accuracy"]),
        (files["same"], "-o", tmp_path / "nowhere" / "r.html"),
    ):
        assert call(*arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_every_measure_has_its_table_and_modelled_times_are_marked(tables):
    times = {"ratio": 1.5, "low": 1.4, "high": 1.6}
    bursts = {"reference": "reference_small", "times": [[3.0], [6.0]], "beside": [[2.0], [4.0]]}
    speed = {
        **tables[1],
        "relative": {"touch_to_ab_16": bursts},
        "peers": {"baseline": "ONNX Runtime", "ratios": {"encode": {"P": times}}, "left_out": {"Q": {"encode": "no"}}},
        "beside": {"fp16": {"runner": "OnnxRunner", "stages": {"encode": {"p50": 9.0}}, "ratios": {"encode": times}}},
        "energy": {"package-0": {"idle_w": 8.0, "touch_to_ab_16": {"joules": 0.05, "above_idle": 0.03, "n": 9}}},
        "roofline": {"gflops": 100.0, "gbytes": 10.0, "rows": [
            {"stage": "encode", "gmac": 3.5, "mib": 12.0, "least_ms": 70.0, "measured_ms": None, "reached": None,
             "modelled_ms": {"Jetson": 0.9}}]},
    }  # fmt: skip
    cell = {"mean": 0.5, "standard_error": 0.1, "n": 3}
    touched = dict.fromkeys(("moved_inside", "moved_outside", "error_inside", "error_outside"), cell)
    gained = {**cell, "gain": 0.6, "gain_standard_error": 0.2}
    quality = {
        **tables[0],
        "beside": {
            "int8": {
                "gain": {"1": 0.3},
                "gain_standard_error": {"1": None},
                "lost_db": {"1": 0.123},
                "lost_db_standard_error": {"1": 0.02},
            }
        },
        "aged": {"points": {"10": {"lost_db": 0.4, "lost_db_standard_error": None}}},
        "where": {
            "chosen": {"1": gained, "10": gained},
            "at once": {"1": gained, "10": gained},
            "no touch": {"0": cell},
        },
        "extras": {"texts": {}, "coverage": {"5": cell}},
        "opposites": {"network": {"edge": {"16": {"at_hints": cell, "sharpest": cell, "on_middle": cell}}}},
        "regions": {"network": {"1": {**touched, "ratio": {"mean": 0.4, "low": 0.3, "high": 0.5}}}},
    }
    text = page.markdown([quality, speed])
    for line in (
        "| encode | P | 1.5 × | 1.4 to 1.6 |",
        "| Q | encode: no |",
        "| fp16 (OnnxRunner) | encode | 9 | 1.5 × | 1.4 to 1.6 |",
        "| package-0 | touch_to_ab_16 | 0.05 | 0.03 | 8 |",
        "| encode | 3.5 | 12 | 70 | – | – |",
        "| MODELLED from data sheets, not measured; ms | Jetson |",
        "| touch_to_ab_16 | 4.5 | reference_small | 3 | 1.5 |",
        "| lost on the same points, dB | 1 point | 10 points |",
        "| int8 | 0.12 ± 0.02 | – |",
        "| aged light | – | 0.40 |",
        "| gain over random places, dB | 1 touch | 10 touches |",
        "| chosen | 0.60 ± 0.20 | 0.60 ± 0.20 |",
        "| coverage | 5 | 0.5 | 0.1 | 3 |",
        "| network | edge | 16 | 0.5 ± 0.1 | 0.5 ± 0.1 | 0.5 ± 0.1 | 3 |",
        "| network | 1 | 0.4 | 0.3 to 0.5 | 0.5 | 0.5 | 0.5 | 0.5 | – | – |",
    ):
        assert line in text
    brief = page.markdown([quality, speed], brief=True)
    assert "touch_to_ab_16" in brief and "0 points" in brief
    assert "MODELLED" not in brief and "coverage" not in brief
