"""Scripted pages: what a run of several says of latency and fairness, and refusals in a sentence."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from livetint.bench.kiosk.process import running_kiosk
from livetint.bench.kiosk.screens import as_lines, resident_mib, summary
from livetint.bench.kiosk.scripted import ScriptedPage
from livetint.engine.errors import ConfigError

from ...kiosk.running import complete
from ...kiosk.stub_bundle import write_stub_bundle


def page(answers: int, latencies_ms: list[float]) -> ScriptedPage:
    return ScriptedPage("http://127.0.0.1:1/", "0" * 16, latencies_ms=latencies_ms, answers=answers)


def test_a_run_tells_latencies_answers_of_each_page_and_the_share_of_the_slowest() -> None:
    found = summary([page(100, [10.0] * 100), page(50, [30.0] * 100), page(200, [20.0] * 100)], seconds=10)
    assert found["n"] == 300
    assert (found["p50"], found["p95"], found["p99"]) == (20.0, 30.0, None)
    assert found["answers_per_s"] == [10.0, 5.0, 20.0]
    assert found["slowest_share"] == 0.5
    lines = as_lines({"rate_per_s": 30.0, "screens": {"3": found | {"engine_mib": None}}}).splitlines()
    assert lines[1].split() == ["3", "20.0", "30.0", "-", "10.0", "35.0", "0.5", "-"]
    assert summary([page(0, [])], 10)["p50"] is None


def test_a_page_that_is_refused_ends_in_a_sentence(tmp_path: Path) -> None:
    model = write_stub_bundle(tmp_path / "stub")
    with running_kiosk(str(model), "server.screens = 1\n") as address:
        strange = ScriptedPage(address, "0" * 16)
        with pytest.raises(ConfigError, match="refused an edit: This picture is no longer on show"):
            complete(strange.run(lambda: False))

        async def two() -> None:
            await asyncio.gather(*(ScriptedPage(address, "0" * 15 + "x").run(lambda: False) for _ in range(2)))

        with pytest.raises(ConfigError, match="closed a page's connection"):
            complete(two())
    with pytest.raises(ConfigError, match="did not start with model"), running_kiosk("no-such-model", ""):
        pass


def test_memory_of_a_process_that_is_gone_is_unknown() -> None:
    assert resident_mib(2**31 - 1) is None
