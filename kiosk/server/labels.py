"""What a coloured picture says of itself when it leaves the exhibit: its name, metadata, and the line under it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from .fonts import Font, font_for
from .pictures import Picture
from .words import RIGHT_TO_LEFT, word

MAX_NAME_BYTES = 80
LAST_LATIN = "\u2122"


class FileLabel(msgspec.Struct, frozen=True):
    """What the child that makes a file writes into it. `fields` as in `engine.image.metadata`; `line` "": no line."""

    fields: dict[str, str] = {}
    note: str = ""
    line: str = ""
    font: Font | None = None
    right_to_left: bool = False


@dataclass(frozen=True)
class Label:
    """The texts of a picture in one language. All are empty for a visitor's own picture."""

    language: str
    title: str = ""
    caption: str = ""
    photographer: str = ""
    year: str = ""
    source: str = ""
    rights: str = ""

    @property
    def credit(self) -> str:
        """Photographer and year."""
        return ", ".join(filter(None, (self.photographer, self.year)))

    @property
    def made_by(self) -> str:
        """That a computer coloured the picture and a visitor guided it."""
        return word(self.language, "coloured_by")

    @property
    def line(self) -> str:
        """The line under a saved picture."""
        return " · ".join(filter(None, (self.title, self.credit, self.rights, self.made_by)))

    def for_file(self, with_line: bool) -> FileLabel:
        """What is written into the file. `with_line`: whether a line is drawn under the picture."""
        fields = {
            "title": self.title,
            "description": " ".join(filter(None, (self.caption, f"{self.made_by}."))),
            "author": self.photographer,
            "credit": self.credit,
            "source": self.source,
            "rights": self.rights,
            "created": self.year if re.fullmatch(r"\d{4}(-\d\d){0,2}", self.year) else "",
        }
        filled = {name: text for name, text in fields.items() if text}
        if not with_line:
            return FileLabel(filled, self.made_by)
        font = font_for(self.line, self.language)
        if font is None and max(self.line) > LAST_LATIN:
            return FileLabel(filled, self.made_by)  # Pillow's own font would draw boxes
        return FileLabel(filled, self.made_by, self.line, font, self.language in RIGHT_TO_LEFT)

    def file_name(self, extension: str) -> str:
        """A name for downloads that every system accepts: the title, or "Livetint"."""
        return f"{plain_name(self.title)} – Livetint{extension}" if self.title else f"Livetint{extension}"

    def disposition(self, extension: str) -> str:
        """The header that names a download."""
        return f"attachment; filename=\"livetint{extension}\"; filename*=UTF-8''{quote(self.file_name(extension))}"


def label_of(picture: Picture, language: str) -> Label:
    """The texts of a picture on show. A visitor's own picture has none."""
    if picture.own:
        return Label(language)
    record = picture.record
    caption = record.captions.get(language) or record.captions.get("en", "")
    title = record.titles.get(language) or record.title
    return Label(language, title, caption, record.photographer, record.year, record.source, record.rights)


def plain_name(title: str) -> str:
    """A title as part of a file name: letters, digits and spaces, of at most MAX_NAME_BYTES bytes."""
    kept = "".join(c if unicodedata.category(c)[0] in "LNM" or c in " -" else " " for c in title)
    return " ".join(kept.split()).encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip()
