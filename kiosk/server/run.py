"""Runs a kiosk: listens on its own port, and on the operator's and the take-away's where set, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from ...engine.errors import ConfigError
from ..settings import Settings
from .app import make_app
from .guard import ALL_ADDRESSES, Guard, allowed_hosts, authority, page_address
from .listener import listener
from .logs import LastErrors
from .notify import notify
from .staff.app import make_operator
from .state import Kiosk
from .takeaway import make_takeaway
from .touches import Touches

log = logging.getLogger("livetint.kiosk")


def run_kiosk(settings: Settings, errors: LastErrors, on_listening: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `on_listening` gets the address. Raises ConfigError where a port is taken."""
    asyncio.run(_run(settings, errors, on_listening))


async def _run(settings: Settings, errors: LastErrors, on_listening: Callable[[str], None]) -> None:
    kiosk = Kiosk(settings, errors)
    touches = Touches(kiosk)
    with contextlib.ExitStack() as stack:
        main = stack.enter_context(_listen(settings.server.host, settings.server.port))
        port = main.getsockname()[1]
        hosts = allowed_hosts(settings.server.host, port, settings.server.allowed_hosts)
        all_addresses = settings.server.host in ALL_ADDRESSES
        guard = Guard(make_app(kiosk, touches), hosts, settings.uploads.camera, all_addresses, "server.allowed_hosts")
        server = listener(guard, settings.server.screens)
        others: list[tuple[uvicorn.Server, socket.socket]] = []
        if settings.operator.token:
            others.append(_other(stack, settings.operator.host, settings.operator.port, make_operator(kiosk, touches)))
            staff = page_address(settings.operator.host, others[-1][1].getsockname()[1])
            log.info("staff page", extra={"facts": {"address": staff, "password": "operator.token"}})
        if settings.takeaway.host:
            app = make_takeaway(kiosk.exporter.takeaways, settings.visitors.language)
            others.append(_other(stack, settings.takeaway.host, settings.takeaway.port, app))
            kiosk.exporter.takeaways.port = others[-1][1].getsockname()[1]
        kiosk.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, setattr, server, "should_exit", True)
        beside = [asyncio.create_task(one.serve(sockets=[its])) for one, its in others]
        on_listening(page_address(settings.server.host, port))
        try:
            await server.serve(sockets=[main])
        finally:
            notify("STOPPING=1")
            for one, _ in others:
                one.should_exit = True
            await asyncio.gather(*beside, return_exceptions=True)
            await kiosk.close()


def _other(stack: contextlib.ExitStack, host: str, port: int, app: ASGIApp) -> tuple[uvicorn.Server, socket.socket]:
    found = stack.enter_context(_listen(host, port))
    hosts = allowed_hosts(host, found.getsockname()[1])
    return listener(Guard(app, hosts, all_addresses=host in ALL_ADDRESSES)), found


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen()  # whoever is told the address may connect at once, and waits until it is served
    except OSError as error:
        found.close()
        raise ConfigError(
            f"cannot listen on {authority(host, port)}: {error.strerror or error}; another kiosk may be running, "
            "choose another --host or --port"
        ) from error
    return found
