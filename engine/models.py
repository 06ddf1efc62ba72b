"""Finding bundles: in the package, in the user's cache, or by the path of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from .bundle import MANIFEST, Bundle
from .cache import user_cache
from .errors import ModelFileError

DEFAULT_MODEL = "touch"


def bundled_folder() -> Path:
    """The folder of bundles inside the installed package."""
    return Path(__file__).resolve().parent.parent / "models"


def cache_folder() -> Path:
    """The user's cache of fetched and imported bundles."""
    return user_cache() / "models"


def known_models() -> dict[str, Path]:
    """Name → folder of every bundle that `--model NAME` finds. Bundled ones hide cached ones of their name."""
    return {folder.name: folder for root in (cache_folder(), bundled_folder()) for folder in _bundles(root)}


def _bundles(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (f for f in sorted(root.iterdir()) if not f.name.startswith(".") and (f / MANIFEST).is_file())


def find_model(name: str | Path) -> Bundle:
    """Load a bundle by name or by folder. Raises ModelFileError, which suggests the most similar name."""
    models = known_models()
    if str(name) in models:
        return Bundle.load(models[str(name)])
    folder = Path(name)
    if folder.is_dir():
        return Bundle.load(folder)
    similar = get_close_matches(str(name), models, 1)
    advice = f"did you mean {similar[0]}?" if similar else f"known are {', '.join(sorted(models)) or 'none'}"
    raise ModelFileError(f"there is no model {str(name)!r}; {advice} (see `livetint models list`)")
