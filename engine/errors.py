"""One tree of errors, each with an exit code for the command line and a sentence fit for a visitor.

The message of every error says what was found, what was expected and what to do.
"""

from __future__ import annotations


class LivetintError(Exception):
    """Root of everything Livetint raises on purpose.

    `exit_code` is what the command line exits with; `visitor_sentence` is what a kiosk may show.
    """

    exit_code = 2
    visitor_sentence = "Something went wrong. Please try again."


class ConfigError(LivetintError):
    """A setting, option or configuration file is unusable."""

    visitor_sentence = "This exhibit is being set up."


class ImageRejected(LivetintError):
    """A picture cannot or may not be opened or written."""

    visitor_sentence = "This picture cannot be opened. Please choose another one."


class HintRejected(LivetintError):
    """A hint lies outside the photograph, has a wrong size or colour, or is one too many."""

    visitor_sentence = "That colour cannot be placed there."


class ModelFileError(LivetintError):
    """A model bundle or checkpoint is missing, damaged or of another kind than expected."""

    visitor_sentence = "The colours are not available right now."


class RunnerError(LivetintError):
    """A runner was used in the wrong order, or its back end failed."""

    exit_code = 3
    visitor_sentence = "The colours need a moment. Please try again."


class DeviceError(RunnerError):
    """The GPU or its driver cannot do what was asked."""


class NoDevice(DeviceError):
    """There is no GPU to use: no driver, no GPU, or no pycuda or TensorRT to reach it with."""

    exit_code = 2


class DeviceFull(DeviceError):
    """The GPU has too little free memory."""


class DeviceLost(DeviceError):
    """An error that stays until this process ends, or no answer at all: the owner must start another process.

    `exit_code` is what such a process ends with, so that its owner knows why.
    """

    exit_code = 70


class OutputError(LivetintError):
    """A result cannot be written: unknown extension, missing folder, full or read-only disk."""

    visitor_sentence = "The picture could not be saved."
