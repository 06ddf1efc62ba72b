"""Livetint's run time: a photograph and hints in, colours out."""

from .bundle import Bundle
from .errors import LivetintError
from .hints import Hint
from .models import find_model
from .onnx_runner import OnnxRunner
from .photo import Photo
from .runner import Runner
from .session import Session
from .statistics import GlobalHints

__all__ = [
    "Bundle",
    "GlobalHints",
    "Hint",
    "LivetintError",
    "OnnxRunner",
    "Photo",
    "Runner",
    "Session",
    "find_model",
]
