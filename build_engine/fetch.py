"""Fetching published weights: resumed where a download broke off, checked, and never kept when wrong."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..engine.bundle import Bundle
from ..engine.errors import ConfigError, ModelFileError, OutputError
from ..engine.models import cache_folder
from .checkpoint import RELEASED_DIGEST, import_checkpoint

CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30
ATTEMPTS = 5
# The published name ends in the first eight digits of the SHA-256.
_DIGITS = re.compile(r"-([0-9a-f]{8})\.pth$")

Report = Callable[[int, int], None]
Warn = Callable[[str], None]


@dataclass(frozen=True)
class Published:
    """A checkpoint that its authors publish. digest: of the whole file, unconfirmed, so it only warns."""

    url: str
    network: str
    mask: str
    licence: str
    data: str
    source: str
    digest: str

    @property
    def file(self) -> str:
        """The name it is published under."""
        return self.url.rsplit("/", 1)[1]


PUBLISHED = {
    "siggraph17": Published(
        url="https://colorizers.s3.us-east-2.amazonaws.com/siggraph17-df00044c.pth",
        network="siggraph17",
        mask="zero-one",
        licence="BSD-2-Clause (github.com/richzhang/colorization)",
        data="ImageNet (ILSVRC 2012), by its authors",
        source="the authors of the paper publish it with github.com/richzhang/colorization",
        digest=RELEASED_DIGEST,
    )
}


def published(name: str) -> Published:
    """What is published under a name. Raises ConfigError."""
    if name not in PUBLISHED:
        raise ConfigError(f"nothing is published under {name!r}; known are {', '.join(PUBLISHED)}")
    return PUBLISHED[name]


def fetch(name: str, url: str | None = None, warn: Warn = lambda _: None, report: Report = lambda *_: None) -> Bundle:
    """Download a published checkpoint into the user's cache, check it and import it as a bundle there.

    url: a mirror. report(done, total) is called while bytes arrive; total is 0 where the server does not say.
    Raises ModelFileError when the download fails for good or is not what the file's name promises.
    """
    entry = published(name)
    downloads = cache_folder().parent / "downloads"
    try:
        downloads.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {downloads}: {error.strerror}; set XDG_CACHE_HOME to a folder") from error
    checkpoint = downloads / entry.file
    if not checkpoint.is_file():
        download(url or entry.url, checkpoint, digits_of(entry.file), report)
    else:
        check_digits(checkpoint, digits_of(entry.file))
    if digest_of(checkpoint) != entry.digest:
        warn(
            f"the SHA-256 of {entry.file} begins as its name says but differs from the one we have noted, "
            "which nobody has confirmed yet; please tell us"
        )
    return import_checkpoint(checkpoint, entry.network, cache_folder() / name, entry.mask, entry.licence, entry.data)


def digits_of(file: str) -> str:
    """The eight digits at the end of a published file's name. Raises ConfigError where there are none."""
    found = _DIGITS.search(file)
    if found is None:
        raise ConfigError(f"{file} does not carry the first eight digits of its SHA-256, so it cannot be checked")
    return found[1]


def download(url: str, target: Path, digits: str, report: Report = lambda *_: None) -> None:
    """Bring `url` to `target`, which appears only when whole and right.

    What has arrived is kept in a `.part` file beside it and carried on from, now or at the next call; a file
    whose SHA-256 does not begin with `digits` is deleted.
    """
    if urllib.parse.urlsplit(url).scheme not in ("https", "http"):
        raise ConfigError(f"{url} is no web address; it starts with https://")
    part = target.with_name(f"{target.name}.part")
    last: Exception | None = None
    for _ in range(ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            if _carry_on(url, part, report):
                check_digits(part, digits)
                part.replace(target)
                return
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise ModelFileError(f"{url} answers {error.code} {error.reason}; try a mirror with --url") from error
            last = error
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            last = error
        except OSError as error:
            raise OutputError(f"cannot write {part}: {error.strerror}; free some space and try again") from error
        arrived = part.stat().st_size if part.exists() else 0
        if last is not None and arrived == before:
            break
    kept = part.stat().st_size if part.exists() else 0
    reason = getattr(last, "reason", last) or "the connection broke off"
    raise ModelFileError(f"{url} cannot be fetched ({reason}); {kept >> 20} MB are kept, run the command again")


def _carry_on(url: str, part: Path, report: Report) -> bool:
    """Ask for what is missing and append it; True when the server has sent all it announced."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is missing, or the part is not of this file
            if error.headers.get("Content-Range", "").endswith(f"/{have}"):
                return True
            part.unlink()
            return False
        raise
    with response:
        resumed = response.status == 206 and _starts_at(response.headers.get("Content-Range", ""), have)
        if response.status == 206 and not resumed:
            part.unlink(missing_ok=True)
            return False
        have = have if resumed else 0
        length = int(response.headers.get("Content-Length") or 0)
        total = have + length if length else 0
        with part.open("ab" if resumed else "wb") as stream:
            while chunk := response.read(CHUNK_BYTES):
                stream.write(chunk)
                have += len(chunk)
                report(have, total)
            stream.flush()
            os.fsync(stream.fileno())
    return not total or have >= total


def _starts_at(content_range: str, first: int) -> bool:
    return content_range.startswith(f"bytes {first}-")


def check_digits(path: Path, digits: str) -> None:
    """Delete `path` and raise ModelFileError unless its SHA-256 begins with `digits`."""
    found = digest_of(path)
    if not found.startswith(digits):
        path.unlink()
        raise ModelFileError(
            f"what was downloaded is not {digits}: its SHA-256 begins with {found[:8]}; it was deleted, try again "
            "or take another mirror with --url"
        )


def digest_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
