"""Publishes an exhibition as a folder of static files: every photograph with what a browser needs to colour it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...engine.bundle import Bundle
from ...engine.errors import ConfigError, ImageRejected
from ...engine.files import replacing_folder, sha256_of
from ...engine.image.photo import Photo
from ..server.exhibition import load_gallery
from ..settings import LANGUAGES, Settings
from . import page
from .features import DEFAULT_BITS
from .folder import MARKER, check_replaceable, digests_of, marker_text
from .heads import pack_heads
from .pictures import FEATURES, PAINTED, THUMBNAIL, PictureFiles, PictureOptions

HEADS = "touch/heads.bin"
VERSION_DIGITS = 12
# A site of more bytes is not fetched whole at the first visit: pictures are kept for the time without a network when
# they are visited.
MAX_KEPT_BYTES = 48 << 20


@dataclass(frozen=True)
class SiteOptions:
    """languages: of the page, the first one for visitors whose browser prefers another. bits: of a feature, 8, 10 or
    16. full_size: pictures are saved at the full size of their photographs, not at 2048 pixels."""

    languages: Sequence[str] = LANGUAGES
    bits: int = DEFAULT_BITS
    full_size: bool = False


@dataclass(frozen=True)
class SiteReport:
    """What was published. Sizes in bytes, as the files lie on the disk.

    first_visit: what the gallery and the first picture take. kept: what is fetched in the background for the time
    without a network. all_kept: whether that is the whole site.
    """

    pictures: int
    files: int
    total: int
    first_visit: int
    kept: int
    all_kept: bool


def build_site(
    photos: Path,
    folder: Path,
    bundle: Bundle,
    options: SiteOptions,
    progress: Callable[[int, int], None] = lambda done, total: None,
    leave_out: Callable[[str], None] = lambda sentence: None,
) -> SiteReport:
    """Publish the exhibition of the folder `photos` (docs/kiosk.md) into `folder`, whole or not at all.

    progress: called with the pictures done and their number. leave_out: called with a sentence for each entry that
    cannot be shown. Raises ConfigError where nothing can be shown, ModelFileError for a model of another form, and
    OutputError where `folder` cannot be written or holds what `site` did not write.
    """
    pictures = list(load_gallery(photos, (), leave_out).values())
    check_replaceable(folder, (photos,))
    vivid = Settings().engine.vivid
    maker = PictureFiles(bundle, PictureOptions(options.languages, options.bits, options.full_size, vivid))
    with replacing_folder(folder) as temporary:
        content = temporary / "content"
        shown: list[page.Shown] = []
        for number, picture in enumerate(pictures):
            progress(number, len(pictures))
            try:
                photo = Photo.open(picture.file)
            except ImageRejected as error:
                leave_out(str(error))
                continue
            files = dict(maker.of(picture, photo))
            for name, data in files.items():
                _write(content / "pictures" / picture.ref.id / name, data)
            painted = sha256_of(files[PAINTED])
            shown.append(page.Shown(picture, maker.keeps_full_size(photo), painted, maker.next_places(photo)))
        if not shown:
            raise ConfigError(f"{photos} holds no photograph that can be opened")
        for name, data in _shared_files(bundle, options.languages).items():
            _write(content / name, data)
        _write(content / page.SETTINGS, page.settings_file(shown, options.languages, vivid))
        report = _finish(temporary, content, bundle, options.languages, shown)
        progress(len(pictures), len(pictures))
    return report


def _shared_files(bundle: Bundle, languages: Sequence[str]) -> dict[str, bytes]:
    """What all pictures share, for the folder of the version."""
    card = {page.MODEL_CARD: page.model_card(bundle)} if page.has_model_card(bundle) else {}
    return {**page.page_files(languages), **card, HEADS: pack_heads(bundle)}


def _finish(
    folder: Path, content: Path, bundle: Bundle, languages: Sequence[str], shown: Sequence[page.Shown]
) -> SiteReport:
    """Name the folder `content` by its version, and write the files beside it."""
    start = page.start_script(languages)
    digests = digests_of(content)
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
    version = hashlib.sha256(lines + start + page.sources()).hexdigest()[:VERSION_DIGITS]
    name = f"v-{version}"
    content.rename(folder / name)
    beside = {page.START: start, page.INDEX: page.index_page(name, languages, bundle)}
    for file, data in beside.items():
        _write(folder / file, data)
    all_digests = {
        **{f"{name}/{address}": digest for address, digest in digests.items()},
        **{file: sha256_of(data) for file, data in beside.items()},
    }
    sizes = {address: (folder / address).stat().st_size for address in all_digests}
    kept = _kept(sizes)
    _write(folder / page.OFFLINE, page.offline_script(version, all_digests, kept))
    written = digests_of(folder)
    _write(folder / MARKER, marker_text(version, written))
    first = shown[0].picture.ref.id
    return SiteReport(
        len(shown),
        len(written) + 1,
        sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        sum(sizes[address] for address in sizes if _loads_at_once(address, first, languages[0])),
        sum(sizes[address] for address in kept),
        len(kept) == len(sizes),
    )


def _kept(sizes: Mapping[str, int]) -> list[str]:
    """Addresses that a first visit fetches in the background: all, or in a large site all but the pictures' own files
    beside their thumbnails."""
    if sum(sizes.values()) <= MAX_KEPT_BYTES:
        return list(sizes)
    return [address for address in sizes if "/pictures/" not in address or address.endswith(f"/{THUMBNAIL}")]


def _loads_at_once(address: str, first: str, language: str) -> bool:
    """Whether a visitor who opens the gallery and the picture `first` in `language` needs a file. Moods come later."""
    if "/languages/" in address:
        return address.endswith(f"/{language}.json")
    if address.endswith(f"/{page.MODEL_CARD}"):
        return False
    if "/pictures/" not in address:
        return True
    return address.endswith((f"/{THUMBNAIL}", f"/{first}/{PAINTED}", f"/{first}/{FEATURES}"))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
