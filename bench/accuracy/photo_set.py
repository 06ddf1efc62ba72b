"""The photographs that an accuracy run measures on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from PIL import Image

from ...calibration.photographs import photograph_files
from ...engine.errors import ConfigError
from .protocols import Picture, Protocol


@dataclass(frozen=True)
class PhotoSet:
    """A folder or tar file of colour photographs; limit: only the first so many."""

    source: Path
    limit: int | None = None

    def check(self) -> None:
        """Raise ConfigError for a set without photographs, or that is neither a folder nor a tar file."""
        if not self.number:
            raise ConfigError(f"{self.source} holds no photographs; give a folder or a tar file that does")

    @cached_property
    def names(self) -> list[str]:
        """The file names of the photographs that a run gets, in their order."""
        return [name for name, _ in islice(photograph_files(self.source), self.limit)]

    @property
    def number(self) -> int:
        """How many photographs a run gets."""
        return len(self.names)

    def pictures(self, protocol: Protocol, network_side: int) -> Iterator[Picture]:
        """The photographs one after the other. Raises ConfigError for one that cannot be decoded."""
        for name, data in islice(photograph_files(self.source), self.limit):
            try:
                yield protocol.picture(data, network_side)
            except (OSError, ValueError, Image.DecompressionBombError) as error:
                raise ConfigError(f"{name} cannot be decoded ({error}); take it out of the set") from error
