"""The tree of errors, each with an exit code for the command line and a sentence for a museum's visitors.

The message of every error says what was found, what was expected and what to do.
"""

from __future__ import annotations


class LivetintError(Exception):
    """Base class of all errors that Livetint raises.

    exit_code: the exit code of the command line. visitor_sentence: what a kiosk shows.
    """

    exit_code = 2
    visitor_sentence = "Something went wrong. Please try again."


class ConfigError(LivetintError):
    """A setting, an option or a configuration file cannot be used."""

    visitor_sentence = "This exhibit is being set up."


class ImageRejected(LivetintError):
    """A picture cannot or may not be opened or written."""

    visitor_sentence = "This picture cannot be opened. Please choose another one."


class ImageTooLarge(ImageRejected):
    """A picture has more pixels than are allowed, or needs more memory than there is."""

    visitor_sentence = "This picture is too large. Please choose a smaller one."


class HintRejected(LivetintError):
    """A hint lies outside the photograph, has an impossible size or colour, or exceeds the model's number of hints."""

    visitor_sentence = "That colour cannot be placed there."


class ModelFileError(LivetintError):
    """A model bundle or checkpoint is missing, damaged or of an unexpected kind."""

    visitor_sentence = "The colours are not available right now."


class RunnerError(LivetintError):
    """A runner was used in the wrong order, or its back end failed."""

    exit_code = 3
    visitor_sentence = "The colours need a moment. Please try again."


class DeviceError(RunnerError):
    """The GPU or its driver reported an error."""


class NoDevice(DeviceError):
    """There is no usable GPU: the driver, the GPU, pycuda or TensorRT is missing."""

    exit_code = 2


class DeviceFull(DeviceError):
    """The GPU has too little free memory."""


class DeviceLost(DeviceError):
    """The GPU does not answer, or an error lasts until this process ends. The owner must start another process.

    exit_code: the exit code of such a process, which tells its owner the reason.
    """

    exit_code = 70


class OutputError(LivetintError):
    """A result cannot be written: unknown extension, missing folder, full or read-only disk."""

    visitor_sentence = "The picture could not be saved."
