"""Download published weights: an interrupted download is resumed, the digest is checked, a wrong file is deleted."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ipaddress
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import IO

from ..engine.bundle import Bundle
from ..engine.errors import ConfigError, ModelFileError, OutputError
from ..engine.files import sync, sync_folder, write_error
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
    """A checkpoint that its authors publish. digest: SHA-256 of the file; not confirmed yet, so a difference warns."""

    url: str
    network: str
    mask: str
    licence: str
    data: str
    source: str
    digest: str

    @property
    def file(self) -> str:
        """The file name under which it is published."""
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
    """The published checkpoint of a name. Raises ConfigError for unknown names."""
    if name not in PUBLISHED:
        raise ConfigError(f"nothing is published under {name!r}; known are {', '.join(PUBLISHED)}")
    return PUBLISHED[name]


def fetch(name: str, url: str | None = None, warn: Warn = lambda _: None, report: Report = lambda *_: None) -> Bundle:
    """Download a published checkpoint into the user's cache, check it, and import it as a bundle there.

    url: a mirror. report(done, total) is called while bytes arrive; total is 0 if the server does not state it.
    Raises ModelFileError when the download fails for good or its digest does not match the file's name.
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
    """The eight digits at the end of a published file's name. Raises ConfigError if there are none."""
    found = _DIGITS.search(file)
    if found is None:
        raise ConfigError(f"{file} does not carry the first eight digits of its SHA-256, so it cannot be checked")
    return found[1]


def download(url: str, target: Path, digits: str, report: Report = lambda *_: None) -> None:
    """Download `url` to `target`, which appears only when it is complete and correct.

    What has arrived stays in a `.part` file beside it, and the download resumes there, in this call or the next one.
    A file whose SHA-256 does not begin with `digits` is deleted. Raises ConfigError for an address that is not
    encrypted, ModelFileError when the download fails for good, OutputError when the file cannot be written.
    """
    check_address(url)
    part = target.with_name(f"{target.name}.part")
    reason = "the connection broke off"
    for _ in range(ATTEMPTS):
        before = _size(part)
        try:
            if _resume(url, part, report):
                check_digits(part, digits)
                sync(part)
                part.replace(target)
                sync_folder(target.parent)
                return
        except _Interrupted as error:
            reason = str(error)
            if _size(part) == before:
                break
        except OSError as error:
            raise write_error(part, error) from error
    raise ModelFileError(f"{url} cannot be fetched ({reason}); {_size(part) >> 20} MB are kept, run the command again")


def check_address(url: str) -> None:
    """Raise ConfigError unless `url` is https, or http to this machine itself (for a local mirror, or a test)."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ConfigError(f"{url} is not encrypted; use https:// (http:// is only for a server on this machine)")
    if parts.scheme not in ("https", "http"):
        raise ConfigError(f"{url} is no web address; it starts with https://")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _EncryptedRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https, and from http on this machine to http on this machine."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        try:
            check_address(newurl)
            downgraded = req.type == "https" and not newurl.startswith("https://")
        except ConfigError:
            downgraded = True
        if downgraded:
            raise ModelFileError(
                f"{req.full_url} redirects to {newurl}, which is not encrypted; take another mirror with --url"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Interrupted(Exception):
    """The connection broke off or the server is busy: worth another try. The message is the reason."""


@contextlib.contextmanager
def _network(url: str) -> Iterator[None]:
    """Errors of the connection: _Interrupted where another try may help, else ModelFileError with what does."""
    try:
        yield
    except urllib.error.HTTPError as error:
        if error.code < 500 and error.code != 429:
            raise ModelFileError(f"{url} answers {error.code} {error.reason}; try a mirror with --url") from error
        raise _Interrupted(str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise ModelFileError(
                f"the certificate of {url} cannot be verified ({reason.verify_message}); check this machine's date "
                "and its certificates, or take another mirror with --url"
            ) from error
        if isinstance(reason, ssl.SSLError) and not isinstance(reason, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            raise ModelFileError(
                f"there is no secure connection to {url} ({reason}); something between may answer in "
                "its place: check the network, or take another mirror with --url"
            ) from error
        raise _Interrupted(str(reason)) from error


def _size(part: Path) -> int:
    """Bytes that have arrived."""
    return part.stat().st_size if part.exists() else 0


def _resume(url: str, part: Path, report: Report) -> bool:
    """Request the missing bytes and append them; True when the server has sent all that it announced.

    Raises _Interrupted or ModelFileError for errors of the connection, OSError for errors of the file.
    """
    have = _size(part)
    opener = urllib.request.build_opener(_EncryptedRedirects)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with _network(url):
        try:
            response = opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            if error.code == 416 and have:
                return _is_whole(part, error.headers.get("Content-Range", ""))
            raise
    with response:
        resumed = response.status == 206 and _starts_at(response.headers.get("Content-Range", ""), have)
        if response.status == 206 and not resumed:
            part.unlink(missing_ok=True)
            return False
        have = have if resumed else 0
        length = int(response.headers.get("Content-Length") or 0)
        return _store(url, response, part, have, have + length if length else 0, report)


def _is_whole(part: Path, content_range: str) -> bool:
    """Whether `part` has the size that the server states. If not, it is of another file and is removed."""
    whole = content_range.endswith(f"/{_size(part)}")
    if not whole:
        part.unlink()
    return whole


def _store(url: str, response: IO[bytes], part: Path, have: int, total: int, report: Report) -> bool:
    """Append the response to the `have` bytes of `part` (0: start over); True if it then has `total` (0: unknown)."""
    with part.open("ab" if have else "wb") as stream:
        while True:
            with _network(url):
                chunk = response.read(CHUNK_BYTES)
            if not chunk:
                break
            stream.write(chunk)
            have += len(chunk)
            report(have, total)
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
