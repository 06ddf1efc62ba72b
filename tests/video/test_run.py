"""A video is read, coloured in segments and written; a run that is killed is resumed."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from livetint.engine.bundle import Bundle
from livetint.engine.errors import ConfigError, ImageRejected, OutputError
from livetint.engine.runners.base import Runner
from livetint.engine.runners.onnx import OnnxRunner
from livetint.video.encoders import encoder_for
from livetint.video.hints import VideoEdits
from livetint.video.run import Settings, Summary, colour_video
from livetint.video.source import Video

from ..kiosk.stub_bundle import write_stub_bundle
from ..needs import import_or_skip
from .files import decoded, moving_frames, sound_of, turn_clockwise, uneven_pts, write_video

av = import_or_skip("av")


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stub_bundle(tmp_path_factory.mktemp("bundle") / "stub")


@pytest.fixture(scope="module")
def runner(stub: Path):
    with OnnxRunner(Bundle.load(stub)) as found:
        yield found


def colour(source: Path, output: Path, runner: Runner, segment_frames: int = 8) -> Summary:
    settings = Settings(encoder_for(output), segment_frames=segment_frames, sheet=output.with_suffix(".png"))
    return colour_video(Video.open(source), output, runner, VideoEdits(), settings)


@pytest.mark.parametrize(("extension", "start"), [("mp4", 0), ("mp4", 1000), ("mkv", 0)])
def test_time_stamps_and_sound_are_those_of_the_source(tmp_path: Path, runner: Runner, extension: str, start: int):
    stamps = [start + stamp for stamp in uneven_pts(20)]
    source = write_video(
        tmp_path / "in.mp4", moving_frames(20), stamps, sound=True, encoder="libx264", options={"crf": "20"}
    )
    output = tmp_path / f"out.{extension}"
    summary = colour(source, output, runner)
    stamps, frames = decoded(output)
    exact, _ = decoded(source)
    assert [round(1000 * stamp) for stamp in stamps] == [round(1000 * stamp) for stamp in exact]
    if extension == "mp4":
        assert stamps == exact
        assert sound_of(output) == sound_of(source)
    else:  # without the packet before 0
        assert [data for _, data in sound_of(output)] == [data for stamp, data in sound_of(source) if stamp >= 0]
    assert (summary.frames, summary.resumed, summary.sounds, len(summary.shots)) == (20, 0, 1, 1)
    assert frames[0].shape == (64, 96, 3)
    assert output.with_suffix(".png").is_file()
    assert not list(tmp_path.glob("*.parts*"))


def test_webm_takes_no_sound_of_mp4(tmp_path: Path, runner: Runner):
    source = write_video(tmp_path / "in.mp4", moving_frames(3), sound=True)
    with pytest.raises(OutputError, match=r"does not take the sound .* choose a name in .mkv"):
        colour(source, tmp_path / "out.webm", runner)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_encoders_with_free_licences_are_preferred():
    for extension in ("mp4", "mkv", "webm"):
        assert encoder_for(Path(f"out.{extension}")).licence != "GPL"
    with pytest.raises(OutputError, match=r"choose one that ends in .mp4, .mkv, .webm"):
        encoder_for(Path("out.avi"))
    with pytest.raises(ConfigError, match="PyAV has no encoder nonsense"):
        encoder_for(Path("out.mp4"), "nonsense")


def test_pixels_become_square_and_the_result_says_who_coloured_it(tmp_path: Path, runner: Runner):
    source = write_video(tmp_path / "in.mp4", moving_frames(3), sample_aspect_ratio=Fraction(4, 3))
    assert "it becomes 128 × 64 pixels" in Video.open(source).notes[0]
    colour(source, tmp_path / "out.mp4", runner)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (128, 64)
        assert "coloured by Livetint" in container.metadata["comment"]


def test_a_video_without_time_stamps_is_resumed_too(tmp_path: Path, runner: Runner):
    source = write_video(tmp_path / "in.m4v", moving_frames(12), encoder="mpeg4")
    video = Video.open(source)
    whole = list(video.read())
    after = list(video.read(whole[7].pts))
    assert len(whole) == 12
    assert [frame.pts for frame in after] == [frame.pts for frame in whole[8:]]
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(after, whole[8:], strict=True))


@pytest.mark.parametrize("encoder", ["mpeg4", "libvpx-vp9"])
def test_odd_sizes_and_other_encoders(tmp_path: Path, runner: Runner, encoder: str):
    source = write_video(tmp_path / "in.mkv", moving_frames(5, (63, 47)), encoder="ffv1", options={})
    settings = Settings(encoder_for(tmp_path / "out.mkv", encoder), segment_frames=3)
    colour_video(Video.open(source), tmp_path / "out.mkv", runner, VideoEdits(), settings)
    stamps, frames = decoded(tmp_path / "out.mkv")
    assert len(stamps) == 5 and frames[0].shape == (47, 63, 3)


SCRIPT = """
import sys
from fractions import Fraction
from pathlib import Path
from livetint.engine.bundle import Bundle
from livetint.engine.runners.onnx import OnnxRunner
from livetint.video.encoders import encoder_for
from livetint.video.hints import VideoEdits
from livetint.video.run import Settings, colour_video
from livetint.video.source import Video

def report(done, total):
    if done == 21:
        print(flush=True)
        sys.stdin.read()  # until it is killed

source, output = map(Path, sys.argv[1:3])
runner = OnnxRunner(Bundle.load(Path(sys.argv[3])))
settings = Settings(encoder_for(output), segment_frames=8)
colour_video(Video.open(source), output, runner, VideoEdits(), settings, report)
"""


def test_a_killed_run_continues_to_the_same_video(tmp_path: Path, stub: Path, runner: Runner):
    frames = [*moving_frames(18), *moving_frames(18, seed=5)]
    source = write_video(tmp_path / "in.mp4", frames, uneven_pts(36), sound=True)
    output, parts = tmp_path / "out.mp4", tmp_path / "out.mp4.parts"
    command = [sys.executable, "-c", SCRIPT, source, output, stub]
    with subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert process.returncode < 0 and not output.exists()
    assert len(list(parts.glob("0*.json"))) == 2
    settings = Settings(encoder_for(output), segment_frames=8)
    summary = colour_video(Video.open(source), output, runner, VideoEdits(), settings)
    whole = colour_video(Video.open(source), tmp_path / "whole.mp4", runner, VideoEdits(), settings)
    assert (summary.resumed, summary.frames, whole.resumed) == (16, 36, 0)
    assert summary.shots == whole.shots and [shot.start for shot in whole.shots] == [0, 18]
    (stamps, pictures), (exact, expected) = decoded(output), decoded(tmp_path / "whole.mp4")
    assert stamps == exact and len(pictures) == 36
    assert all(np.array_equal(*pair) for pair in zip(pictures, expected, strict=True))


def test_a_run_with_other_settings_starts_anew(tmp_path: Path, runner: Runner):
    source = write_video(tmp_path / "in.mp4", moving_frames(12))
    output = tmp_path / "out.mp4"

    def stop(done: int, total: int) -> None:
        if done == 9:
            raise KeyboardInterrupt

    settings = Settings(encoder_for(output), segment_frames=4)
    with pytest.raises(KeyboardInterrupt):
        colour_video(Video.open(source), output, runner, VideoEdits(), settings, stop)
    assert (tmp_path / "out.mp4.parts").is_dir()
    strong = VideoEdits(strength=2)
    assert colour_video(Video.open(source), output, runner, strong, settings).resumed == 0
    assert not (tmp_path / "out.mp4.parts").exists()


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path: Path, runner: Runner):
    source = write_video(tmp_path / "in.mp4", moving_frames(2))
    (tmp_path / "out.mp4.parts").mkdir()
    (tmp_path / "out.mp4.parts" / "letter.txt").write_text("mine")
    with pytest.raises(OutputError, match="is of no run"):
        colour(source, tmp_path / "out.mp4", runner)
    assert (tmp_path / "out.mp4.parts" / "letter.txt").read_text() == "mine"


def test_a_rotated_video_becomes_upright(tmp_path: Path, runner: Runner):
    frame = np.zeros((64, 96, 3), np.uint8)
    frame[:32, :48] = 255  # top left, so top right when it is turned clockwise
    source = write_video(tmp_path / "in.mp4", [frame] * 2)
    turn_clockwise(source)
    video = Video.open(source)
    assert (video.width, video.height) == (64, 96) and "turned by" in video.notes[0]
    upright = next(video.read()).rgb
    assert upright[:40, 36:].mean() > 240 and upright[:40, :28].mean() < 15 and upright[56:].mean() < 15
    colour(source, tmp_path / "out.mp4", runner)
    assert decoded(tmp_path / "out.mp4")[1][0].shape == (96, 64, 3)


def test_ten_bits_are_read_and_said(tmp_path: Path):
    frames = moving_frames(2)
    source = write_video(tmp_path / "in.mkv", frames, encoder="ffv1", pix_fmt="yuv420p10le", options={})
    video = Video.open(source)
    assert video.notes == ("it has 10 bits; it is coloured in 8",)
    assert np.abs(next(video.read()).rgb.astype(int) - frames[0]).mean() < 2


def test_high_dynamic_range_is_refused(tmp_path: Path):
    frames = moving_frames(2)
    source = write_video(tmp_path / "in.mkv", frames, encoder="ffv1", pix_fmt="yuv420p10le", options={}, color_trc=16)
    with pytest.raises(ImageRejected, match=r"high dynamic range \(PQ\); convert it to SDR"):
        Video.open(source)


def test_interlaced_frames_are_deinterlaced(tmp_path: Path):
    fields = moving_frames(12, (96, 64))
    frames = []
    for upper, lower in zip(fields[::2], fields[1::2], strict=True):
        frame = upper.copy()
        frame[1::2] = lower[1::2]
        frames.append(frame)
    source = write_video(
        tmp_path / "in.mkv",
        frames,
        encoder="mpeg2video",
        options={"flags": "+ildct+ilme", "qmin": "2", "qmax": "2"},
        rate=Fraction(25),
        interlaced=True,
    )
    video = Video.open(source)
    assert video.interlaced and "two fields become one frame" in video.notes[0]
    found = list(video.read())
    assert len(found) == 6

    def combing(rgb: np.ndarray) -> float:
        rows = rgb[..., 0].astype(float)
        return float(np.abs(2 * rows[1:-1] - rows[:-2] - rows[2:]).mean())

    assert combing(found[3].rgb) < 0.6 * combing(frames[3])
    after = list(video.read(found[2].pts))
    assert [frame.pts for frame in after] == [frame.pts for frame in found[3:]]


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"no video", "cannot be read as a video"), (None, "does not exist; check the path")]
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes | None, sentence: str):
    path = tmp_path / "in.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageRejected, match=sentence):
        Video.open(path)


def test_sound_alone_is_refused(tmp_path: Path):
    path = tmp_path / "in.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        track = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.int16), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    with pytest.raises(ImageRejected, match="holds no video"):
        Video.open(path)
