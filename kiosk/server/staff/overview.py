"""What the staff page tells of the exhibit: its state in plain words, its problems, how its photographs are used."""

from __future__ import annotations

from html import escape

from ..hours import is_open
from ..state import Kiosk
from ..usage import OWN
from . import html
from .words import Say

_PAGE_WORDS = {"attract": "page_attract", "gallery": "page_gallery", "painting": "page_painting"}


def overview(kiosk: Kiosk, say: Say, clock: str) -> str:
    """The body of the first page. clock: "HH:MM", local time."""
    healthy = kiosk.healthy
    headline = f'<p class="state {"well" if healthy else "ill"}">{say("working" if healthy else "not_working")}</p>'
    forms = html.button("/floor", say("take_off" if kiosk.on_floor else "put_on"), {})
    forms += html.button("/reload", say("reload"), {}, kind="quiet")
    details = html.rows((escape(key), escape(str(value))) for key, value in kiosk.status().items())
    return (
        f'{headline}<div class="buttons">{forms}</div>'
        f"<h2>{say('status')}</h2><table><tbody>{html.rows(_state(kiosk, say, clock))}</tbody></table>"
        f"<h2>{say('left_out')}</h2>{html.listed(kiosk.gallery.left_out, say)}"
        f"<h2>{say('usage')}</h2><p>{say('usage_note')}</p>{_usage(kiosk, say)}"
        f"<h2>{say('last_errors')}</h2>{html.listed(list(reversed(kiosk.errors.lines)), say, code=True)}"
        f"<details><summary>{say('details')}</summary><table><tbody>{details}</tbody></table></details>"
    )


def _state(kiosk: Kiosk, say: Say, clock: str) -> list[tuple[str, str]]:
    hours = kiosk.settings.hours
    if not kiosk.on_floor:
        exhibit = say("exhibit_staff")
    elif is_open(hours, clock):
        exhibit = say("exhibit_open")
    else:
        exhibit = say("exhibit_hours", opens=hours.opens, closes=hours.closes)
    engine = say("engine_ready" if kiosk.engine.ready else "engine_starting")
    if kiosk.engine.ready and kiosk.engine.faults:
        engine = say("engine_replaced", count=kiosk.engine.faults)
    found = [(say("exhibit"), exhibit), *_pages(kiosk, say), (say("engine"), engine)]
    if kiosk.thermal.hottest_c is not None:
        heat = f"{kiosk.thermal.hottest_c:.0f} °C" + (f". {say('too_hot')}" if kiosk.thermal.hot else "")
        found.append((say("temperature"), heat))
    minutes = int(kiosk.page.uptime_s // 60)
    found.append((say("running"), say("hours_minutes", hours=minutes // 60, minutes=minutes % 60)))
    found.append((say("on_show"), str(len(kiosk.gallery.pictures))))
    return found


def _pages(kiosk: Kiosk, say: Say) -> list[tuple[str, str]]:
    """What each page shows; one line where there is one screen, or no page."""
    connected = kiosk.screens.connected
    if len(kiosk.screens) == 1 or not connected:
        return [(say("page"), say(_PAGE_WORDS.get(kiosk.shown, "page_none")))]
    rows = [
        (say("screen", number=screen.number), say(_PAGE_WORDS.get(screen.life.state, "page_none")))
        for screen in connected
    ]
    return [*rows, (say("screens"), say("screens_used", count=len(connected), most=len(kiosk.screens)))]


def _usage(kiosk: Kiosk, say: Say) -> str:
    usage = kiosk.usage
    titles = {id: escape(picture.record.title) for id, picture in kiosk.gallery.pictures.items()}
    titles |= {OWN: say("own_pictures")} if usage.opens[OWN] or usage.saves[OWN] else {}
    head = "".join(f'<th scope="col">{say(word)}</th>' for word in ("title", "opened", "touches", "saves"))
    body = "".join(
        f"<tr><th scope='row'>{title}</th><td>{usage.opens[id]}</td><td>{usage.edits[id]}</td>"
        f"<td>{usage.saves[id]}</td></tr>"
        for id, title in titles.items()
    )
    return f'<table class="usage"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
