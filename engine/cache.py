"""The user's cache folder: fetched models, plans, timings."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import platformdirs

from .errors import ConfigError


def user_cache() -> Path:
    """The folder, absolute; it may not exist yet.

    A user without a home folder (a container, a service) has one in the folder for temporary files, which belongs to
    that user alone. Raises ConfigError where that cannot be.
    """
    try:
        folder = Path(platformdirs.user_cache_dir("livetint"))
    except RuntimeError:  # how newer versions of platformdirs say it; older ones leave the ~
        folder = Path()
    return folder if folder.is_absolute() else _temporary()


def _temporary() -> Path:
    """A folder of this user alone. Others may write beside it, and make one of its name first."""
    advice = "set HOME or XDG_CACHE_HOME to a folder of your own"
    try:
        folder = Path(tempfile.gettempdir()) / f"livetint-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise ConfigError(f"there is no home folder for the cache ({error.strerror}); {advice}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigError(f"there is no home folder for the cache, and {folder} is open to others; {advice}")
    return folder
