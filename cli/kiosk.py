"""`livetint kiosk`: the touch application."""

from __future__ import annotations

import logging
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from ..engine.errors import ConfigError
from ..engine.models import find_model
from ..engine.runners.open import DEVICES
from ..kiosk.server.check import problems_of
from ..kiosk.server.guard import ALL_ADDRESSES
from ..kiosk.server.logs import LastErrors, set_up_logs
from ..kiosk.server.run import run_kiosk
from ..kiosk.settings import Settings, load_for_service, load_settings, read_settings

log = logging.getLogger("livetint.kiosk")


@click.command()
@click.option("--photos", type=click.Path(path_type=Path), help="Folder of the exhibition's photographs.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as TOML; see docs/kiosk.md.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [default: 8017]")
@click.option("--model", help="Name or folder of a bundle.  [default: touch]")
@click.option("--device", type=click.Choice(DEVICES), help="Device to run on.  [default: auto]")
@click.option("--open", "open_browser", is_flag=True, help="Open the page in a browser.")
@click.option("--check", is_flag=True, help="Check settings, model and photographs, then exit.")
def kiosk(
    photos: Path | None,
    config: Path | None,
    host: str | None,
    port: int | None,
    model: str | None,
    device: str | None,
    open_browser: bool,
    check: bool,
) -> None:
    """Serve the touch application until stopped."""
    errors = LastErrors() if check else set_up_logs()
    if check:
        found, problems = _from_faulty_file(config)
        _check(_settings(found, photos, host, port, model, device), problems)
        return
    settings = _settings(_from_file(config), photos, host, port, model, device)
    # An unusable model is reported on the terminal here. The engine process would report it in a log.
    find_model(settings.engine.model)

    def listening(address: str) -> None:
        click.echo(f"Livetint is at {address}")
        if settings.server.host in ALL_ADDRESSES:
            click.echo("and at every address of this machine; server.allowed_hosts lets names in, see docs/kiosk.md")
        if sys.stdout.isatty():
            click.echo("Ctrl-C stops it.")
        if open_browser and not (_has_display() and webbrowser.open(address)):
            click.echo(f"No browser could be opened here; open {address} in one.", err=True)

    run_kiosk(settings, errors, listening)


def _from_file(config: Path | None) -> Settings:
    """Read the settings file. A systemd service falls back to the last good settings."""
    state = os.environ.get("STATE_DIRECTORY")  # set by systemd
    if config is None or not state:
        return load_settings(config)
    settings, complaint = load_for_service(config, Path(state))
    if complaint:
        log.error("settings not as they should be", extra={"facts": {"reason": complaint}})
    return settings


def _from_faulty_file(config: Path | None) -> tuple[Settings, list[str]]:
    """The settings file as far as it is sound, and what is wrong with it."""
    try:
        settings, problems = read_settings(config)
    except ConfigError as error:
        return Settings(), [str(error)]
    return settings, [f"{config}: {problem}" for problem in problems]


def _settings(
    settings: Settings,
    photos: Path | None,
    host: str | None,
    port: int | None,
    model: str | None,
    device: str | None,
) -> Settings:
    """The settings with the options that were given on the command line."""
    replace = msgspec.structs.replace
    server = replace(
        settings.server,
        host=settings.server.host if host is None else host,
        port=settings.server.port if port is None else port,
    )
    engine = replace(
        settings.engine,
        model=settings.engine.model if model is None else model,
        device=settings.engine.device if device is None else device,
    )
    gallery = replace(settings.gallery, folder=settings.gallery.folder if photos is None else str(photos))
    return replace(settings, server=server, engine=engine, gallery=gallery)


def _check(settings: Settings, problems: Sequence[str]) -> None:
    """Report every problem at once, `problems` first; exit code 2 if there is one."""
    found = [*problems, *problems_of(settings)]
    if found:
        click.echo("not in order:\n" + "\n".join(f"- {sentence}" for sentence in found), err=True)
        raise click.exceptions.Exit(ConfigError.exit_code)
    click.echo("settings, model and photographs are in order")


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
