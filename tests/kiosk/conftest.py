"""Fixtures of the kiosk's tests: a stub bundle, a running kiosk, a headless Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from livetint.engine.bundle import Bundle
from livetint.engine.models import find_model
from livetint.engine.runners.base import Runner
from livetint.engine.runners.onnx import OnnxRunner

from .album import Album
from .page import Visitor, one_visitor
from .running import RunningKiosk, free_port
from .stub_bundle import write_stub_bundle

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stub_bundle(tmp_path_factory.mktemp("bundle") / "stub")


@pytest.fixture(scope="session")
def kiosk(stub: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKiosk]:
    """One kiosk that sends planes, for all tests that leave it as they found it."""
    folder = tmp_path_factory.mktemp("kiosk")
    kept = folder / "kept"
    kept.mkdir()
    proxy_port = free_port()
    running = RunningKiosk(
        folder,
        stub,
        screen={"pixels": "planes"},
        saving={"folder": str(kept)},
        server={"allowed_hosts": [f"127.0.0.1:{proxy_port}"]},
    )
    running.proxy_port = proxy_port
    yield running
    running.close()


@pytest.fixture
def visitor(browser: Any, kiosk: RunningKiosk) -> Iterator[Visitor]:
    """A visitor who has opened the first picture; no error may have happened on the page."""
    yield from one_visitor(browser, kiosk.address)


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """The browser; pages a failed test left open are closed, for only one may be at the controls."""
    yield chromium
    for context in chromium.contexts:
        context.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def touch() -> Bundle:
    return find_model("touch")


@pytest.fixture
def runner(stub: Path) -> Iterator[Runner]:
    with OnnxRunner(find_model(stub), 1) as runner:
        yield runner


@pytest.fixture
def album() -> Iterator[Album]:
    album = Album()
    yield album
    for descriptor in album.descriptors.values():
        os.close(descriptor)
