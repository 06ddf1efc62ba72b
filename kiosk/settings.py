"""Everything that staff may set about a kiosk: one typed table, read from one TOML file.

The field's name, its default and its description are the setting's name, default and help; docs/kiosk.md is
tested against them. An unknown key is refused with the nearest known one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from ..engine.errors import ConfigError, OutputError
from ..engine.files import atomic_write, read_toml

LANGUAGES = ("en", "de", "fr", "es", "zh", "ja", "ar")
_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^$"
MAX_PORT = 65535
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text in quotes",
    "array": "a list in square brackets",
}
_BOUNDS = {">=": "of at least", "<=": "of at most", ">": "above", "<": "below"}
# Characters of operator.token
MIN_TOKEN = 12
MAX_UPLOAD_MEGAPIXELS = 256.0


class ServerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[server]"""

    host: Annotated[str, Meta(description="Address to listen on; loopback keeps strangers out.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=MAX_PORT, description="Port to listen on; 0 takes any free one.")] = 8017
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(description="Further names of the kiosk that browsers may use, with port unless it is 80 or 443."),
    ] = ()
    screens: Annotated[
        int, Meta(ge=1, le=64, description="Pages that visitors can use at once; a further one is asked to wait.")
    ] = 8


class EngineTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[engine]"""

    model: Annotated[str, Meta(description="Name or folder of the model bundle.")] = "touch"
    threads: Annotated[int, Meta(ge=0, le=64, description="Threads of the engine; 0: all CPU cores.")] = 0
    spin: Annotated[
        bool, Meta(description="Threads spin between touches: faster where no browser needs the CPU cores, and hotter.")
    ] = False
    device: Annotated[
        str, Meta(pattern="^(auto|cpu|cuda)$", description="Where it runs; auto: the GPU if it can, see docs/gpu.md.")
    ] = "auto"
    vivid: Annotated[
        float,
        Meta(ge=0.5, le=2, description="Factor of the automatic colours, for touch; 1: as trained."),
    ] = 1.35
    deadline_s: Annotated[
        float, Meta(gt=0, le=60, description="Seconds; an edit that takes longer restarts the engine.")
    ] = 2.0
    spare: Annotated[
        bool, Meta(description="A second engine process stands by, so that a fault costs no start; it takes memory.")
    ] = True


class GalleryTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[gallery]"""

    folder: Annotated[str, Meta(description="Folder of the exhibition; empty: the bundled photographs.")] = ""
    max_megapixels: Annotated[float, Meta(gt=0, description="Larger photographs are refused.")] = 64.0


class ScreenTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[screen]"""

    panel_width_mm: Annotated[
        float, Meta(ge=0, description="Width of the panel in millimetres, by which buttons are sized; 0: unknown.")
    ] = 0.0
    reach: Annotated[str, Meta(pattern="^(usual|low)$", description="low: all controls in the lower part.")] = "usual"
    contrast: Annotated[str, Meta(pattern="^(usual|high)$", description="Contrast at the start of a visit.")] = "usual"
    pixels: Annotated[
        str, Meta(pattern="^(auto|planes|jpeg)$", description="How colours are sent; auto measures the browser.")
    ] = "auto"
    upsampling: Annotated[
        str,
        Meta(pattern="^(bilinear|guided)$", description="guided: colours keep to edges; drawing takes longer."),
    ] = "bilinear"
    touches: Annotated[
        str,
        Meta(
            pattern="^(auto|engine)$",
            description="What answers touches; auto: the browser itself where it is quick enough; engine: the engine.",
        ),
    ] = "auto"
    palm_mm: Annotated[float, Meta(gt=0, description="A contact wider than this is a palm, not a finger.")] = 25.0


class VisitorsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[visitors]"""

    language: Annotated[str, Meta(description="Language at the start of a visit.")] = "en"
    languages: Annotated[tuple[str, ...], Meta(min_length=1, description="Languages offered.")] = LANGUAGES
    idle_s: Annotated[float, Meta(gt=0, description="Seconds without a touch until the warning.")] = 60.0
    warning_s: Annotated[float, Meta(gt=0, description="Seconds from the warning to the wipe.")] = 20.0


class SavingTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[saving]"""

    download: Annotated[bool, Meta(description="Save offers the picture as a download.")] = True
    folder: Annotated[str, Meta(description="Folder for saved pictures; empty: none.")] = ""
    line: Annotated[
        bool, Meta(description="A line under every saved picture: title, credit, rights, that a computer coloured it.")
    ] = False


class UploadsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[uploads]"""

    enabled: Annotated[bool, Meta(description="Visitors may bring a picture of their own.")] = False
    camera: Annotated[bool, Meta(description="They may also take one with the camera of the exhibit.")] = False
    max_mib: Annotated[float, Meta(gt=0, le=256, description="Larger files are refused.")] = 24.0
    max_megapixels: Annotated[
        float,
        Meta(gt=0, le=MAX_UPLOAD_MEGAPIXELS, description="Larger pictures are refused; over 24, they are reduced."),
    ] = 50.0
    deadline_s: Annotated[
        float, Meta(gt=0, le=120, description="Seconds that a picture may take to arrive, and again to be opened.")
    ] = 15.0


class TakeawayTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[takeaway]"""

    host: Annotated[str, Meta(description="Address that visitors' phones reach; empty: no QR code.")] = ""
    port: Annotated[int, Meta(ge=0, le=MAX_PORT, description="Port of that listener.")] = 8018
    minutes: Annotated[float, Meta(gt=0, le=1440, description="Minutes that a picture can be fetched.")] = 10.0


class WallTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[wall]"""

    folder: Annotated[
        str, Meta(description="Folder of the wall of pictures whose visitors agreed; empty: no wall.")
    ] = ""


class OperatorTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[operator]"""

    token: Annotated[str, Meta(description="Password of the operator page; empty: no page.")] = ""
    host: Annotated[str, Meta(description="Address of the operator page.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=MAX_PORT, description="Port of the operator page.")] = 8019


class HoursTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[hours]"""

    opens: Annotated[str, Meta(pattern=_CLOCK, description="Opening time HH:MM; empty: always open.")] = ""
    closes: Annotated[str, Meta(pattern=_CLOCK, description="Closing time HH:MM.")] = ""
    blank_minutes: Annotated[
        float, Meta(ge=0, description="Minutes from closing until the screen is black; 0: never.")
    ] = 30.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings, by table of the TOML file."""

    server: ServerTable = ServerTable()
    engine: EngineTable = EngineTable()
    gallery: GalleryTable = GalleryTable()
    screen: ScreenTable = ScreenTable()
    visitors: VisitorsTable = VisitorsTable()
    saving: SavingTable = SavingTable()
    uploads: UploadsTable = UploadsTable()
    takeaway: TakeawayTable = TakeawayTable()
    wall: WallTable = WallTable()
    operator: OperatorTable = OperatorTable()
    hours: HoursTable = HoursTable()


def load_settings(path: Path | None) -> Settings:
    """Settings of a TOML file, or the defaults. Raises ConfigError naming file, keys and what to write."""
    settings, problems = read_settings(path)
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}")
    return settings


def read_settings(path: Path | None) -> tuple[Settings, list[str]]:
    """Settings of a TOML file, and a sentence for each thing that is wrong with it. What is wrong has its default.

    Raises ConfigError where the file cannot be read, or is no TOML.
    """
    if path is None:
        return Settings(), []
    known = {table.name: type(table.default) for table in msgspec.structs.fields(Settings)}
    problems: list[str] = []
    tables: dict[str, Any] = {}
    faulty: set[str] = set()
    for name, content in read_toml(path).items():
        if name not in known:
            problems.append(f"there is no table [{name}]; {nearest(name, list(known))}")
        elif not isinstance(content, dict):
            problems.append(f"{name} is a table; write [{name}] and its keys below")
        else:
            tables[name], found = _read_table(name, content, known[name])
            problems += found
            faulty |= {name} if found else set()
    settings = Settings(**tables)
    problems += [sentence for table, sentence in _contradictions(settings) if table not in faulty]
    return settings, problems


def _read_table(name: str, content: dict[str, Any], table: type) -> tuple[Any, list[str]]:
    """One table of the file, and what is wrong with its keys."""
    keys = [field.name for field in msgspec.structs.fields(table)]
    sound, problems = {}, []
    for key, value in content.items():
        if key not in keys:
            problems.append(f"there is no setting {name}.{key}; {nearest(key, keys)}")
            continue
        try:
            msgspec.convert({key: value}, table)
            sound[key] = value
        except msgspec.ValidationError as error:
            problems.append(f"{name}.{key} is {value!r}; {_expected(str(error))} (docs/kiosk.md has every setting)")
    return msgspec.convert(sound, table), problems


def load_for_service(path: Path, state: Path) -> tuple[Settings, str]:
    """Settings for an exhibit that has to open whatever staff wrote, and what is wrong with the file ("" if nothing).

    A valid file is copied to the folder `state`. The last such copy stands in for an invalid file. Raises ConfigError
    where there is no copy, or where the copy is not valid any more either.
    """
    copy = state / "last-good.toml"
    try:
        settings = load_settings(path)
    except ConfigError as error:
        if not copy.exists():
            raise
        return load_settings(copy), f"{error}; the last good settings are used"
    text = path.read_bytes()
    try:
        if not copy.exists() or copy.read_bytes() != text:
            atomic_write(copy, text)
    except (OSError, OutputError) as error:
        return settings, f"no copy of the settings was kept: {error}"
    return settings, ""


def every_setting() -> Iterator[tuple[str, Any, str]]:
    """(name, default, help) of every setting, in order; the name as `table.key`."""
    for table in msgspec.structs.fields(Settings):
        hints = get_type_hints(type(table.default), include_extras=True)
        for field in msgspec.structs.fields(type(table.default)):
            meta = next(m for m in hints[field.name].__metadata__ if isinstance(m, Meta))
            yield f"{table.name}.{field.name}", field.default, meta.description or ""


def nearest(name: str, known: Sequence[str]) -> str:
    """A sentence that suggests what a misspelt name may have meant."""
    close = get_close_matches(name, known, 1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _expected(message: str) -> str:
    """What to write instead, in plain words, by msgspec's message."""
    choices = re.search(r"regex '\^\((.+)\)\$'", message)
    if _CLOCK in message:
        return "write a time such as '09:30'"
    if choices:
        return f"write {' or '.join(map(repr, choices[1].split('|')))}"
    kind, bound = re.search(r"Expected `(\w+)[^`]*`(?: ([<>]=?) (\S+))?", message), ""
    if kind is None:
        return message
    if kind[2]:
        bound = f" {_BOUNDS[kind[2]]} {kind[3]}"
    return f"write {_KINDS.get(kind[1], kind[1])}{bound}"


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """Values that are right by themselves and cannot work: (table, sentence)."""
    visitors, hours, token = settings.visitors, settings.hours, settings.operator.token
    for language in dict.fromkeys((*visitors.languages, visitors.language)):
        if language not in LANGUAGES:
            yield "visitors", f"there is no language {language!r}; known are {', '.join(LANGUAGES)}"
    if visitors.language not in visitors.languages:
        yield "visitors", f"visitors.language {visitors.language!r} is not among visitors.languages"
    if bool(hours.opens) != bool(hours.closes):
        yield "hours", "hours needs both opens and closes, or neither"
    elif hours.opens and hours.opens == hours.closes:
        yield (
            "hours",
            f"hours.opens and hours.closes are both {hours.opens}, so it never opens; leave both out for always",
        )
    if token and len(token) < MIN_TOKEN:
        yield (
            "operator",
            f"operator.token is too short, with {len(token)} characters; use at least {MIN_TOKEN}, "
            "so that nobody guesses it",
        )
    if settings.uploads.camera and not settings.uploads.enabled:
        yield "uploads", "uploads.camera needs uploads.enabled; set both, or neither"
    if settings.takeaway.host in ("0.0.0.0", "::", "*"):
        yield "takeaway", f"takeaway.host is {settings.takeaway.host!r}; give the address that phones open"
    for table, folder in (("saving", settings.saving.folder), ("wall", settings.wall.folder)):
        if folder and not Path(folder).is_dir():
            yield table, f"{table}.folder {folder} is no folder; create it"
