"""What travels between browser, server and engine worker. One typed definition of each message.

Browser → server: JSON text, always the whole hint set. Server → browser: a binary reply, little-endian uint32
length of the JSON header, header padded with spaces to a multiple of 4, then the pixels: half floats
[256, 256, 2] (a, b interleaved, as an RG16F texture takes them) or a JPEG.
Server ↔ engine process: JSON messages over a pair of Unix sockets, with the open descriptors of the pictures that the
engine does not hold; pixels lie in shared memory.
"""

from __future__ import annotations

import re
import struct
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from ..engine.edits import HintRecord
from ..engine.hints import Line

Unit = Annotated[float, Meta(ge=0, le=1)]
Ab = Annotated[float, Meta(ge=-128, le=128)]
PictureId = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
MoodName = Literal["none", "sunlit", "cool", "rich", "faded"]

# Most edits of a picture that a beat tells of.
MAX_BEAT_EDITS = 10_000
# Largest message of a browser. 128 hints are about 12 KiB, an outline is one or two.
MAX_BYTES = 64 * 1024
# Most regions of an edit: each costs the engine a touch when a picture is opened again.
MAX_REGIONS = 12
# Room for the colours of an edit with that many regions. Memory that is not written to is not taken.
SHARED_BYTES = 24 * 1024 * 1024
# The longer side of the largest JPEG that a browser may ask for.
MAX_WIDTH_PX = 2048


class HintMessage(NamedTuple):
    """[x, y, a, b, size] as in `engine.hints.Hint`; ab is projected into the gamut at L by the engine.

    Strokes, and points with a region, are objects as in the JSON of a session: `engine.edits.HintRecord`.
    """

    x: Unit
    y: Unit
    a: Ab
    b: Ab
    size: Annotated[int, Meta(ge=1, le=9)] = 5


class Edit(msgspec.Struct, frozen=True, tag="edit", forbid_unknown_fields=True):
    """The picture as the browser wants it. `point` asks for suggestions there; `width` is a JPEG's, in pixels.

    outline: index of a hint whose outline is wanted, see `Outline`.
    strength: factor of the finished colours. JPEGs and files have it; with planes the browser applies it.
    """

    seq: int
    photo: PictureId
    hints: Annotated[tuple[HintMessage | HintRecord, ...], Meta(max_length=256)] = ()
    mood: MoodName = "none"
    reference: PictureId | None = None
    saturation: Unit | None = None
    strength: Annotated[float, Meta(ge=0, le=2)] = 1.0
    point: tuple[Unit, Unit] | None = None
    outline: Annotated[int, Meta(ge=0, lt=256)] | None = None
    want: Literal["planes", "jpeg"] = "planes"
    width: Annotated[int, Meta(ge=64, le=MAX_WIDTH_PX)] = 1024
    t_event: float = 0.0


class Beat(msgspec.Struct, frozen=True, tag="beat", forbid_unknown_fields=True):
    """The page is alive; `state` is what it shows, `frame_ms` its last touch-to-frame time.

    edits: how many edits of each picture the page has answered itself since the last beat.
    """

    state: Literal["attract", "gallery", "painting", "closed"] = "attract"
    frame_ms: float | None = None
    event: Literal["session", "reset", "fallback", ""] = ""
    edits: Annotated[dict[PictureId, Annotated[int, Meta(ge=1, le=MAX_BEAT_EDITS)]], Meta(max_length=16)] = {}


class Next(msgspec.Struct, frozen=True, tag="next", forbid_unknown_fields=True):
    """Where would a further hint help the picture most? The answer is JSON text: its type is "next", `seq` is that of
    the edit, `place` is [x, y]. It comes only if the page sends no other edit before; there may be none. Without an
    edit nothing is wanted any more."""

    edit: Edit | None = None


Upward = Edit | Beat | Next
decode_upward = msgspec.json.Decoder(Upward).decode


class PictureRef(msgspec.Struct, frozen=True):
    """A picture by its id and version, never by its path. A picture with other pixels is another version.

    version: for a picture of the gallery the SHA-256 of its file (64 hexadecimal digits), which the engine checks
    before it shows the picture. For a visitor's upload its random id: nobody can change an upload.
    """

    id: str
    version: str

    @property
    def sha256(self) -> str:
        """What the content has to hash to; "" where nothing is checked."""
        return self.version if re.fullmatch("[0-9a-f]{64}", self.version) else ""


class Task(msgspec.Struct, frozen=True):
    """Server → engine process.

    op: edit; ab (an edit's colours for a file, see colours.py); next (one step of the search for the place where a
    further hint helps most; the same task again goes on with it); mood (a small JPEG of `reference` in its colours);
    heads, features and histogram (packed files of the model, of `picture` and of `reference`, for touches in the page);
    pulse (an inference, for the engine's health); forget (drop all that was made of `picture`). reference: a picture
    whose colours are asked for. upsampling: one of `engine.image.compose`, for the JPEGs of edits. descriptors: the
    pictures whose open descriptors travel with this task, in their order. screen: whose edit it is; 0: staff's.
    """

    op: Literal["edit", "ab", "next", "mood", "heads", "features", "histogram", "pulse", "forget"]
    picture: PictureRef | None = None
    reference: PictureRef | None = None
    edit: Edit | None = None
    upsampling: str = "bilinear"
    descriptors: tuple[PictureRef, ...] = ()
    screen: int = 0


class Colours(msgspec.Struct, frozen=True):
    """Suggestions at a point: each (a, b, confidence); L there; the colour shown now; the first colour of a tap."""

    L: float
    swatches: list[tuple[float, float, float]]
    current: tuple[float, float]
    first: tuple[float, float]


class Outline(msgspec.Struct, frozen=True):
    """Where hint `hint` of an edit colours, as polygons of points (x, y in 0…1): the border of its region as far as it
    is grown, or without a region what the network thinks it belongs to. () where that is nothing."""

    hint: int
    polygons: tuple[Line, ...]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Engine process → server. `length` bytes of pixels lie at the start of shared memory.

    held: the photographs that the engine holds encoded after this task. histograms: the pictures whose colour
    histogram it knows. A task about other pictures needs their descriptors, and more time. inferred: whether the
    network ran for this answer. place: x and y in 0…1, where a search is finished. error, sentence: where `ok` is
    False, the reason for the log and for the visitor.
    """

    ok: bool = True
    length: int = 0
    timings: dict[str, float] = {}
    colours: Colours | None = None
    outline: Outline | None = None
    place: tuple[float, float] | None = None
    error: str = ""
    sentence: str = ""
    held: list[PictureRef] = []
    histograms: list[PictureRef] = []
    inferred: bool = False


class Header(msgspec.Struct, frozen=True):
    """The JSON header of a binary reply."""

    seq: int
    kind: str
    timings: dict[str, float]
    colours: Colours | None
    outline: Outline | None = None


def pack(header: Header, pixels: bytes) -> bytes:
    """A binary reply."""
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % 4)
    return struct.pack("<I", len(text)) + text + pixels
