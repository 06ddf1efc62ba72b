"""Which encoder writes a video: the first that the installed FFmpeg has, those with free licences first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..engine.errors import ConfigError, OutputError
from .errors import load_av


@dataclass(frozen=True)
class Encoder:
    """name, options: FFmpeg's. codec: what it writes. licence: of the encoder. even: takes only even sizes."""

    name: str
    codec: str
    licence: str
    options: Mapping[str, str] = field(default_factory=dict)
    even: bool = False


# None of them may reorder frames: packets come in the order of their time stamps.
AV1_SVT = Encoder("libsvtav1", "AV1", "BSD", {"preset": "9", "crf": "26"})
AV1_AOM = Encoder("libaom-av1", "AV1", "BSD", {"cpu-used": "8", "crf": "24", "usage": "realtime"})
VP9 = Encoder(
    "libvpx-vp9",
    "VP9",
    "BSD",
    {"deadline": "realtime", "cpu-used": "6", "crf": "24", "b": "0", "row-mt": "1"},
)
OPENH264 = Encoder("libopenh264", "H.264", "BSD", {"rc_mode": "quality", "qmin": "14", "qmax": "24"}, even=True)
MPEG4 = Encoder("mpeg4", "MPEG-4 Part 2", "LGPL", {"qmin": "2", "qmax": "4", "bf": "0"})
X264 = Encoder("libx264", "H.264", "GPL", {"preset": "medium", "crf": "18", "bf": "0"}, even=True)

FREE = (AV1_SVT, AV1_AOM, VP9)
# extension: (FFmpeg's name of the container, encoders in their order)
CONTAINERS = {
    ".mp4": ("mp4", (*FREE, OPENH264, MPEG4, X264)),
    ".mkv": ("matroska", (*FREE, OPENH264, MPEG4, X264)),
    ".webm": ("webm", FREE),
}


def container_of(path: Path) -> str:
    """FFmpeg's name of the container of a file. Raises OutputError for an unknown extension."""
    found = CONTAINERS.get(path.suffix.lower())
    if found is None:
        raise OutputError(f"{path} is no name of a video; choose one that ends in {', '.join(CONTAINERS)}")
    return found[0]


def encoder_for(path: Path, name: str | None = None) -> Encoder:
    """The encoder for a file; name: this one. Raises OutputError and ConfigError."""
    container_of(path)
    possible = CONTAINERS[path.suffix.lower()][1]
    there = [encoder for encoder in possible if _is_there(encoder.name)]
    if name is not None:
        there = [encoder for encoder in there if encoder.name == name]
    if not there:
        names = ", ".join(encoder.name for encoder in possible)
        raise ConfigError(f"PyAV has no encoder {name or ''} for {path.suffix}; possible are {names}")
    return there[0]


def _is_there(name: str) -> bool:
    codec: Any = load_av().codec
    try:
        codec.Codec(name, "w")
    except ValueError:  # FFmpeg's UnknownCodecError
        return False
    return True
