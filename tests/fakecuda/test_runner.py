"""TensorRTRunner, its real code, on the stand-in driver: the same answers as OnnxRunner, from every kind of plan."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from livetint.engine import Photo, Session
from livetint.engine.bundle import Bundle
from livetint.engine.colour.global_hints import GlobalHints
from livetint.engine.errors import ConfigError, HintRejected, ModelFileError, RunnerError
from livetint.engine.hints import Hint
from livetint.engine.image.compose import compose, resize_lightness
from livetint.engine.models import bundled_folder
from livetint.engine.runners.base import NO_GLOBAL_HINTS, Runner
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.runners.tensorrt.plan_folder import StalePlan
from livetint.engine.runners.tensorrt.runner import KEPT_PHOTOGRAPHS, TensorRTRunner
from numpy.typing import NDArray

from ..kiosk.stub_bundle import write_stub_bundle
from ..needs import needs
from ..restorers import lighter, with_restorer
from .plans import build_for_standin, lightness_of, some_hints, tiny_bundle
from .standin import Standin
from .tensorrt_standin import module

pytestmark = [needs("c++"), needs("pycuda")]
# fp16 weights and planes move ab by so much; the two runners agree better in fp32.
TOLERANCE = {"fp16": 0.15, "fp32": 2e-3}
VERSIONS = {
    "tensorrt": ("8.6.2", "10.3.0", "10.13.3", "10.16.2", "11.4.1"),
    "tensorrt-rtx": ("1.7.1",),
}


@pytest.fixture(scope="module")
def photo() -> Photo:
    return Photo.open(sorted((bundled_folder().parent / "photos").glob("*.jpg"))[0])


@pytest.fixture(scope="module")
def touch() -> Bundle:
    return Bundle.load(bundled_folder() / "touch")


@pytest.mark.parametrize("integrated", [False, True])
def test_copies_on_a_discrete_gpu_and_none_on_an_integrated_one(gpu: Standin, tmp_path: Path, integrated: bool):
    gpu.integrated(integrated)
    bundle = tiny_bundle(tmp_path / "tiny")
    build_for_standin(bundle)
    with TensorRTRunner(bundle) as runner, OnnxRunner(bundle) as other:
        features, expected = runner.encode(lightness_of(32)), other.encode(lightness_of(32))
        for count in (0, 1, 7, 0, 40):
            hints = some_hints(count, count)
            np.testing.assert_allclose(runner.colorize(features, hints), other.colorize(expected, hints), atol=0.15)
        copies = gpu.calls("cuMemcpyHtoDAsync") + gpu.calls("cuMemcpyDtoHAsync")
        assert copies == (0 if integrated else 5), "L once; then the warm-up's two, and two recorded"


@pytest.mark.parametrize(("target", "version"), [(t, v) for t, all_of in VERSIONS.items() for v in all_of])
def test_plans_of_every_tensorrt(
    gpu: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, version: str
):
    for name in VERSIONS:
        monkeypatch.setitem(sys.modules, name.replace("-", "_"), module(name, version if name == target else "9.9"))
    bundle = tiny_bundle(tmp_path / "tiny", ab_scale=10.0)
    folder, _ = build_for_standin(bundle, target=target)
    with TensorRTRunner(bundle) as runner, OnnxRunner(bundle) as other:
        assert runner.tensorrt == f"{target} {version}"
        got = runner.colorize(runner.encode(lightness_of(32)), some_hints(5))
        np.testing.assert_allclose(got, other.colorize(other.encode(lightness_of(32)), some_hints(5)), atol=0.15)
    kept = (folder / "colour.jit.cache").exists()
    assert kept == (target == "tensorrt-rtx"), "only TensorRT-RTX compiles at run time"


def test_half_precision_at_the_plans_doors(gpu: Standin, tmp_path: Path):
    wide = tiny_bundle(tmp_path / "wide")
    narrow = tiny_bundle(tmp_path / "narrow", half=True)
    build_for_standin(narrow, "fp32")
    points = np.random.default_rng(4).uniform(0, 1, (300, 2)).astype(np.float32)
    with TensorRTRunner(narrow) as runner, OnnxRunner(wide) as other:
        features, expected = runner.encode(lightness_of(32)), other.encode(lightness_of(32))
        np.testing.assert_allclose(
            runner.colorize(features, some_hints(9)), other.colorize(expected, some_hints(9)), atol=0.1
        )
        ours = runner.distribution(features, some_hints(9), NO_GLOBAL_HINTS, points)
        theirs = other.distribution(expected, some_hints(9), NO_GLOBAL_HINTS, points)
        assert np.abs(ours - theirs).max() < 2e-3
        assert gpu.calls("cuGraphLaunch") == 1, "the first 256 points are recorded, the rest replay them"


def test_kernels_answer_touches_where_they_know_the_form_and_need_no_plan(gpu: Standin, touch: Bundle):
    build_for_standin(touch, "fp32")
    with TensorRTRunner(touch) as runner:
        assert runner.served_by == "kernels"
        assert not runner._graphs, "nothing is timed at start"
        assert {stage for stage, _ in runner.stages._plans} == {"encoder", "distribution"}
    other = Bundle(touch.folder, msgspec.structs.replace(touch.manifest, touch_form="another-1"), touch.files)
    with TensorRTRunner(other) as runner:
        assert runner.served_by == "plan"
    with pytest.raises(ModelFileError, match="another-1"):
        TensorRTRunner(other, touch_by="kernels")


def test_without_a_plan_of_the_touch_stage(gpu: Standin, touch: Bundle, photo: Photo):
    build_for_standin(touch, "fp32", stages=("encoder", "distribution"))
    before = gpu.held_bytes
    with TensorRTRunner(touch) as runner, OnnxRunner(touch) as expected:
        assert runner.served_by == "kernels"
        ab = runner.colorize(runner.encode(photo.working_L), some_hints(5))
        same = expected.colorize(expected.encode(photo.working_L), some_hints(5))
        np.testing.assert_allclose(ab, same, atol=0.06)
    with pytest.raises(StalePlan, match=r"kernels serve it; `livetint build touch --all-plans`"):
        TensorRTRunner(touch, touch_by="plan")
    other = Bundle(touch.folder, msgspec.structs.replace(touch.manifest, touch_form="another-1"), touch.files)
    with pytest.raises(StalePlan, match="no plan of stage 'touch'; build again"):
        TensorRTRunner(other)
    assert gpu.held_bytes == before


def test_touches_and_distributions_share_one_stream_and_one_scratch_memory(gpu: Standin, touch: Bundle):
    build_for_standin(touch, "fp32")
    with TensorRTRunner(touch, touch_by="plan") as runner:
        assert gpu.calls("cuStreamCreate") == 1
        contexts: list[Any] = [plan._context for plan in runner.stages._plans.values()]
        assert len({context._scratch.ctypes.data for context in contexts}) == 1


@pytest.mark.parametrize(("precision", "by"), [("fp16", "plan"), ("fp32", "plan"), ("fp32", "kernels")])
def test_touch_colours_a_photograph_end_to_end(gpu: Standin, touch: Bundle, photo: Photo, precision: str, by: str):
    build_for_standin(touch, precision)
    with TensorRTRunner(touch, touch_by=by) as runner, OnnxRunner(touch) as other:
        assert runner.served_by == by
        session, expected = Session(photo, runner), Session(photo, other)
        asked = GlobalHints(saturation=0.4)
        for count in (0, 3, 1, 20) if by == "plan" else (0, 3):
            for each in (session, expected):
                each.set_hints(some_hints(count, count), asked if count == 1 else NO_GLOBAL_HINTS)
            gone = np.abs(session.ab - expected.ab)
            assert gone.max() < 30 * TOLERANCE[precision] and gone.mean() < TOLERANCE[precision]
        rgb, same = (each.render((320, 200)).astype(int) for each in (session, expected))
        assert np.abs(rgb - same).mean() < 1
        for point in ((0.3, 0.4), (0.0, 1.0)):
            ours, theirs = session.suggest(*point), expected.suggest(*point)
            assert np.abs(np.subtract(ours.current, theirs.current)).max() < 30 * TOLERANCE[precision]


def test_distribution_of_touch_at_many_points(gpu: Standin, touch: Bundle, photo: Photo):
    build_for_standin(touch, "fp32")
    points = np.random.default_rng(2).uniform(0, 1, (37, 2)).astype(np.float32)
    with TensorRTRunner(touch, touch_by="plan") as runner, OnnxRunner(touch) as other:
        both: list[Runner] = [runner, other]
        ours, theirs = (
            each.distribution(each.encode(photo.working_L), some_hints(4), NO_GLOBAL_HINTS, points) for each in both
        )
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-6)
        nothing = runner.distribution(runner.encode(photo.working_L), (), NO_GLOBAL_HINTS, points[:0])
        assert nothing.shape == (0, 313)


def test_planes_with_global_hints_and_logits(gpu: Standin, tmp_path: Path, photo: Photo):
    bundle = Bundle.load(write_stub_bundle(tmp_path / "stub"))
    build_for_standin(bundle, "fp32")
    asked = GlobalHints(saturation=0.7)
    points = np.random.default_rng(3).uniform(0, 1, (20, 2)).astype(np.float32)
    with TensorRTRunner(bundle) as runner, OnnxRunner(bundle) as other:
        answers: list[tuple[np.ndarray, np.ndarray]] = []
        both: list[Runner] = [runner, other]
        for each in both:
            features = each.encode(photo.working_L)
            ab = each.colorize(features, some_hints(6), asked)
            answers.append((ab, each.distribution(features, some_hints(6), asked, points)))
    np.testing.assert_allclose(answers[0][0], answers[1][0], atol=0.02)
    np.testing.assert_allclose(answers[0][1], answers[1][1], rtol=1e-2, atol=1e-5)


def test_several_sessions_on_one_runner(gpu: Standin, tmp_path: Path):
    bundle = tiny_bundle(tmp_path / "tiny")
    build_for_standin(bundle)
    with TensorRTRunner(bundle) as runner, OnnxRunner(bundle) as other:
        L_planes = [lightness_of(32, seed) for seed in range(KEPT_PHOTOGRAPHS + 3)]
        ours, theirs = [runner.encode(L) for L in L_planes], [other.encode(L) for L in L_planes]
        order = np.random.default_rng(0).permutation(np.repeat(np.arange(len(L_planes)), 4))
        for turn, who in enumerate(order):
            hints = some_hints(3, turn)
            got, expected = runner.colorize(ours[who], hints), other.colorize(theirs[who], hints)
            np.testing.assert_allclose(got, expected, atol=0.15)
        del ours[2:]
        for features in ours:
            runner.colorize(features, ())
        again = [runner.encode(L) for L in L_planes[: KEPT_PHOTOGRAPHS - 2]]
        assert all(features.slot is not None for features in (*ours, *again)), "slots of forgotten photographs are free"
    with TensorRTRunner(bundle) as another, pytest.raises(RunnerError, match="another runner"):
        another.colorize(ours[0], ())


def test_plans_of_a_bundle_serve_it_with_a_restorer_too(gpu: Standin, touch: Bundle):
    """Photographs that lost their place on the GPU are encoded from the restored L again."""
    build_for_standin(touch, "fp32")
    restoring = with_restorer(touch, lighter(5.0))
    with TensorRTRunner(restoring) as runner, OnnxRunner(restoring) as other:
        L_planes = [lightness_of(256, seed) for seed in range(KEPT_PHOTOGRAPHS + 1)]
        ours, theirs = [runner.encode(L) for L in L_planes], [other.encode(L) for L in L_planes]
        assert ours[0].slot is None
        np.testing.assert_array_equal(ours[0].L, L_planes[0])
        for vivid in (1.0, 1.3):
            got, expected = runner.with_vivid(ours[0], vivid), other.with_vivid(theirs[0], vivid)
            ab = other.colorize(expected, some_hints(3))
            np.testing.assert_allclose(runner.colorize(got, some_hints(3)), ab, atol=0.15)


def test_pictures_are_composed_on_the_gpu_and_recorded_anew_only_when_their_size_changes(
    gpu: Standin, tmp_path: Path, photo: Photo
):
    bundle = tiny_bundle(tmp_path / "tiny")
    build_for_standin(bundle)
    with TensorRTRunner(bundle, display=(97, 61)) as runner:
        features = runner.encode(lightness_of(32))
        for size, captures in (((97, 61), 1), ((97, 61), 1), ((40, 60), 2), ((1, 1), 3), ((98, 61), 4)):
            L = resize_lightness(photo.L, size)
            got = runner.render(features, some_hints(4), NO_GLOBAL_HINTS, L)
            expected = compose(L, runner.colorize(features, some_hints(4)))
            assert got.shape == expected.shape == (size[1], size[0], 3)
            assert np.abs(got.astype(int) - expected).max() <= 1
            assert gpu.calls("cuStreamBeginCapture") == captures + (1 if size != (98, 61) else 0)
            del got  # its memory is free for the next picture
        again = runner.render(features, some_hints(1), NO_GLOBAL_HINTS, resize_lightness(photo.L, (40, 60)))
        assert again.shape == (60, 40, 3)


def test_pictures_composed_on_the_gpu_show_the_asked_colours(gpu: Standin, touch: Bundle, photo: Photo):
    build_for_standin(touch, "fp32")
    L = resize_lightness(photo.L, (320, 240))
    hints = some_hints(3)
    with TensorRTRunner(touch, display=(320, 240), touch_by="plan") as runner:
        features = runner.encode(photo.working_L)
        asked = compose(L, runner.colorize(features, hints))
        for _ in range(2):
            got = runner.render(features, hints, NO_GLOBAL_HINTS, L)
            assert np.abs(got.astype(int) - asked).max() <= 1


@pytest.mark.parametrize("by", ["plan", "kernels"])
def test_between_hints_and_picture_there_is_one_graph_and_nothing_on_the_host(
    gpu: Standin, touch: Bundle, photo: Photo, by: str
):
    """The graph holds one copy to the GPU and one back. ab, poisoned on the host, is neither read nor written there."""
    build_for_standin(touch, "fp32")
    L = resize_lightness(photo.L, (64, 48))
    copies = ("cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync")
    with TensorRTRunner(touch, display=(64, 48), touch_by=by) as runner:
        features = runner.encode(photo.working_L)
        before = [gpu.calls(name) for name in copies]
        asked = [Hint(0.3, 0.4, 50, -20), Hint(0.7, 0.6, -30, 40)]
        runner.render(features, asked, NO_GLOBAL_HINTS, L)
        first = [gpu.calls(name) - count for name, count in zip(copies, before, strict=True)]
        assert first == [2 + 2, 2], "L and that of its cells; then one copy each way, run once and recorded once"
        held = runner.render(features, asked, NO_GLOBAL_HINTS, L)
        runner.render(features, asked, NO_GLOBAL_HINTS, L)  # beside a picture that is held: into the second block
        del held
        runner.stages.ab[:] = np.nan
        launches, every = gpu.calls("cuGraphLaunch"), [gpu.calls(name) for name in (*copies, "cuLaunchKernel")]
        for hints in (asked, some_hints(2)):
            picture = runner.render(features, hints, NO_GLOBAL_HINTS, L)
        assert gpu.calls("cuGraphLaunch") == launches + 2
        assert [gpu.calls(name) for name in (*copies, "cuLaunchKernel")] == every, "all of it is in the graph"
        assert np.isnan(runner.stages.ab).all()
        expected = compose(L, runner.colorize(features, some_hints(2)))
        assert np.abs(picture.astype(int) - expected).max() <= 1


def test_pictures_belong_to_the_caller_and_are_not_copied_on_the_host(gpu: Standin, tmp_path: Path, photo: Photo):
    """A block is used again as soon as nothing holds its picture. More pictures than blocks are copied."""
    bundle = tiny_bundle(tmp_path / "tiny")
    build_for_standin(bundle)
    L = resize_lightness(photo.L, (40, 30))
    with TensorRTRunner(bundle, display=(40, 30)) as runner:
        features = runner.encode(lightness_of(32))

        def render(seed: int) -> NDArray[np.uint8]:
            return runner.render(features, some_hints(4, seed), NO_GLOBAL_HINTS, L)

        expected = [compose(L, runner.colorize(features, some_hints(4, seed))) for seed in range(5)]
        first = render(0)
        address = first.ctypes.data
        corner = first[10:, 10:][::2]
        del first
        pictures = {seed: render(seed) for seed in range(1, 5)}
        assert address not in [picture.ctypes.data for picture in pictures.values()], "a view holds its picture"
        assert len({picture.ctypes.data for picture in pictures.values()}) == 4
        assert np.abs(corner.astype(int) - expected[0][10:, 10:][::2]).max() <= 1
        del corner
        pictures[0] = render(0)
        assert pictures[0].ctypes.data == address
    for seed, picture in pictures.items():
        assert np.abs(picture.astype(int) - expected[seed]).max() <= 1, "pictures outlive the runner"
        picture[:] = 0


@pytest.mark.parametrize("by", ["plan", "kernels"])
def test_colours_under_hints_are_matched_on_the_gpu(gpu: Standin, touch: Bundle, photo: Photo, by: str):
    build_for_standin(touch, "fp32")
    hints = [Hint(0.3, 0.4, 50, -20, 9), Hint(0.32, 0.42, -30, 40, 1), Hint(0.9, 0.9, 0, 60)]
    with TensorRTRunner(touch, touch_by=by) as runner, OnnxRunner(touch) as other:
        ab = runner.colorize(runner.encode(photo.working_L), hints)
        same = other.colorize(other.encode(photo.working_L), hints)
    np.testing.assert_allclose(ab, same, atol=0.06)
    for hint in hints[1:]:
        shown = ab[:, int(hint.y * 256), int(hint.x * 256)]
        assert np.linalg.norm(shown - (hint.a, hint.b)) <= 1


def test_guided_pictures_are_composed_on_the_gpu_and_recorded_beside_the_others(
    gpu: Standin, tmp_path: Path, photo: Photo
):
    bundle = tiny_bundle(tmp_path / "tiny")
    build_for_standin(bundle)
    L_planes = [resize_lightness(photo.L, (97, 61)), resize_lightness(photo.L, (97, 61))[::-1].copy()]
    with TensorRTRunner(bundle, display=(97, 61)) as runner:
        features = runner.encode(lightness_of(32))
        ab = runner.colorize(features, some_hints(4))
        before = gpu.calls("cuStreamBeginCapture")
        for method in ("guided", "bilinear", "guided"):
            for L in L_planes:
                got = runner.render(features, some_hints(4), NO_GLOBAL_HINTS, L, method)
                assert np.abs(got.astype(int) - compose(L, ab, method=method)).max() <= 1
                del got  # its memory is free for the next picture
        assert gpu.calls("cuStreamBeginCapture") == before + 2, "one graph for each method"
        large = resize_lightness(photo.L, (98, 61))
        on_processor = runner.render(features, some_hints(4), NO_GLOBAL_HINTS, large, "guided")
        np.testing.assert_array_equal(on_processor, compose(large, ab, method="guided"))
        with pytest.raises(ConfigError, match="bilinear, guided"):
            runner.render(features, (), NO_GLOBAL_HINTS, L_planes[0], "edge-aware")


def test_a_photograph_that_was_rendered_is_not_kept(gpu: Standin, tmp_path: Path, photo: Photo):
    bundle = tiny_bundle(tmp_path / "tiny")
    build_for_standin(bundle)
    with TensorRTRunner(bundle, display=(40, 60)) as runner:
        features = runner.encode(lightness_of(32))
        L = resize_lightness(photo.L, (40, 60))
        runner.render(features, some_hints(2), NO_GLOBAL_HINTS, L)
        kept = weakref.ref(L)
        del L
        gc.collect()
        assert kept() is None, "a visitor's photograph goes with its owner"
        other = resize_lightness(photo.L, (40, 60))[::-1].copy()
        got = runner.render(features, some_hints(2), NO_GLOBAL_HINTS, other)
        expected = compose(other, runner.colorize(features, some_hints(2)))
        assert np.abs(got.astype(int) - expected).max() <= 1


def test_a_forgotten_runner_gives_the_gpu_back(gpu: Standin, tmp_path: Path):
    bundle = tiny_bundle(tmp_path / "tiny")
    build_for_standin(bundle)
    before = gpu.held_bytes
    runner = TensorRTRunner(bundle)
    runner.colorize(runner.encode(lightness_of(32)), ())
    del runner
    gc.collect()
    assert gpu.held_bytes == before


def test_what_it_does_not_take_is_refused_in_words(gpu: Standin, tmp_path: Path, touch: Bundle):
    bundle = tiny_bundle(tmp_path / "tiny")
    build_for_standin(bundle)
    with TensorRTRunner(bundle) as runner:
        features = runner.encode(lightness_of(32))
        with pytest.raises(HintRejected, match="at most 1024"):
            runner.colorize(features, some_hints(1025))
        with pytest.raises(RunnerError, match=r"\(33, 33\)"):
            runner.encode(lightness_of(33))
    runner.close()
    with pytest.raises(RunnerError, match="this runner is closed"):
        runner.encode(lightness_of(32))
