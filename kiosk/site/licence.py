"""Whether a model's weights may be published by anybody, or their licence has to be accepted first."""

from __future__ import annotations

import re

from ...engine.bundle import Bundle
from ...engine.errors import ConfigError

# Licences that let anybody publish weights, for whatever purpose.
_OPEN = re.compile(r"(mit|bsd|apache|isc|zlib|unlicense|cc0|cc[ -]by|public domain)\b", re.IGNORECASE)
_RESTRICTED = re.compile(r"non-?\s?commercial|\bnc\b|\bnd\b|research|education", re.IGNORECASE)


def is_open(licence: str) -> bool:
    """Whether a licence, as `model.toml` has it, allows everybody everything. What is not known counts as no."""
    return bool(_OPEN.match(licence.strip())) and not _RESTRICTED.search(licence)


def check_accepted(bundle: Bundle, accepted: bool) -> None:
    """Raises ConfigError, which quotes the licence, unless the weights are open or their licence was accepted."""
    manifest = bundle.manifest
    if accepted or is_open(manifest.licence):
        return
    raise ConfigError(
        f"a site publishes the weights of {manifest.name} {manifest.version}, and their licence is: "
        f"{manifest.licence.rstrip('.')}. If your site keeps to it, say so with --accept-licence"
    )
