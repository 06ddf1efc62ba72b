"""The contract of all runners: one set of tests for each runner and each kind of bundle.

A test module makes a subclass of `RunnerContract` with a fixture `opened`. Error messages are the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from livetint.engine.colour.global_hints import GlobalHints
from livetint.engine.errors import ConfigError, HintRejected, ModelFileError, RunnerError
from livetint.engine.hints import Hint
from livetint.engine.image.compose import compose
from livetint.engine.runners.base import INFLUENCE_CELLS, NO_GLOBAL_HINTS, Runner, takes_vivid

RED, GREEN = Hint(0.25, 0.25, 50, 30), Hint(0.75, 0.75, -40, 30)
POINTS = np.array([[0.0, 0.0], [1.0, 1.0], [0.3, 0.7]], np.float32)


@dataclass
class Opened:
    """A runner under test, and a second one of the same bundle."""

    runner: Runner
    other: Runner

    @property
    def lightness(self) -> Any:
        size = tuple(self.runner.bundle.manifest.input.working_size)
        rows, columns = np.indices(size, np.float32)
        return 50 + 30 * np.sin(rows / 17) * np.cos(columns / 23)


class RunnerContract:
    """Subclasses define the fixture `opened`."""

    def test_colours_have_their_shape_and_belong_to_the_caller(self, opened: Opened) -> None:
        features = opened.runner.encode(opened.lightness)
        first = opened.runner.colorize(features, [RED])
        assert first.dtype == np.float32 and first.shape == (2, *opened.lightness.shape) and np.isfinite(first).all()
        kept = first.copy()
        opened.runner.colorize(features, [GREEN])
        np.testing.assert_array_equal(first, kept)
        first[:] = 0
        np.testing.assert_allclose(opened.runner.colorize(features, [RED]), kept, atol=1e-4)

    def test_photographs_do_not_mix(self, opened: Opened) -> None:
        runner = opened.runner
        ours, theirs = runner.encode(opened.lightness), runner.encode(100 - opened.lightness)
        alone = runner.colorize(ours, [RED])
        runner.colorize(theirs, [RED, GREEN])
        np.testing.assert_allclose(runner.colorize(ours, [RED]), alone, atol=1e-4)

    def test_features_hold_their_own_lightness(self, opened: Opened) -> None:
        L = opened.lightness
        features = opened.runner.encode(L)
        L[:] = 0
        np.testing.assert_array_equal(features.L, opened.lightness)
        assert not features.L.flags.writeable and features.made_by(opened.runner)

    def test_the_tensor_before_the_heads_is_that_of_the_photograph(self, opened: Opened) -> None:
        runner = opened.runner
        ours, theirs = (runner.encoder_features(runner.encode(L)) for L in (opened.lightness, 100 - opened.lightness))
        assert (ours is None) is (theirs is None) is not runner.gives_encoder_features
        if ours is not None and theirs is not None:
            assert ours.dtype == np.float32 and ours.ndim == 3 and np.isfinite(ours).all()
            assert not np.array_equal(ours, theirs)

    def test_feature_maps_are_those_of_the_photograph(self, opened: Opened) -> None:
        runner = opened.runner
        ours, theirs = runner.encode(opened.lightness), runner.encode(100 - opened.lightness)
        maps = {name: values.copy() for name, values in runner.feature_maps(ours).items()}
        assert bool(maps) is (runner.bundle.manifest.input.kind == "hints")
        others = runner.feature_maps(theirs)
        for name, values in runner.feature_maps(ours).items():
            assert values.dtype == np.float32
            np.testing.assert_array_equal(values, maps[name])
        if maps:
            assert set(maps) >= {"query", "key", "gate", "base", "mood", "up"}
            assert not np.array_equal(others["base"], maps["base"])

    def test_distributions_sum_to_one(self, opened: Opened) -> None:
        runner = opened.runner
        if runner.bundle.manifest.distribution is None:
            with pytest.raises(ModelFileError, match="suggests no colours"):
                runner.distribution(runner.encode(opened.lightness), (), NO_GLOBAL_HINTS, POINTS)
            return
        table = runner.bundle.manifest.distribution
        features = runner.encode(opened.lightness)
        probabilities = runner.distribution(features, [RED], NO_GLOBAL_HINTS, POINTS)
        assert probabilities.dtype == np.float32 and probabilities.shape == (3, len(table.centres))
        assert (probabilities >= 0).all() and np.allclose(probabilities.sum(1), 1, atol=1e-3)
        assert runner.distribution(features, (), NO_GLOBAL_HINTS, POINTS[:0]).shape == (0, len(table.centres))

    @pytest.mark.parametrize("points", [[[0.5, 1.5]], [[-0.1, 0.5]], [[np.nan, 0.5]]])
    def test_points_outside_are_refused(self, opened: Opened, points: list[list[float]]) -> None:
        features = opened.runner.encode(opened.lightness)
        with pytest.raises(HintRejected, match="outside the photograph"):
            opened.runner.distribution(features, (), NO_GLOBAL_HINTS, np.array(points, np.float32))
        with pytest.raises(RunnerError, match=r"expected \[P, 2\]"):
            opened.runner.distribution(features, (), NO_GLOBAL_HINTS, np.zeros((2, 3), np.float32))

    def test_influence_is_highest_around_the_hint(self, opened: Opened) -> None:
        runner = opened.runner
        features, hints = runner.encode(opened.lightness), [RED, GREEN]
        for index, hint in enumerate(hints):
            share = runner.influence(features, hints, [index])
            assert share.dtype == np.float32 and share.shape == (INFLUENCE_CELLS, INFLUENCE_CELLS)
            assert share.min() >= 0 and share.max() <= 1
            at_hint, at_other = (
                share[int(h.y * INFLUENCE_CELLS), int(h.x * INFLUENCE_CELLS)] for h in (hint, hints[1 - index])
            )
            assert at_hint > 0.5 > at_other
        for index in (-1, 2):
            with pytest.raises(HintRejected, match=f"there is no hint {index}"):
                runner.influence(features, hints, [index])

    @pytest.mark.parametrize("method", ["bilinear", "guided"])
    def test_pictures_show_the_colours(self, opened: Opened, method: str) -> None:
        runner = opened.runner
        features = runner.encode(opened.lightness)
        L = np.linspace(5, 95, 61 * 97, dtype=np.float32).reshape(61, 97)
        ab = runner.colorize(features, [RED])
        for known in (None, ab):
            got = runner.render(features, [RED], NO_GLOBAL_HINTS, L, method, known)
            assert got.dtype == np.uint8 and got.shape == (61, 97, 3)
            assert np.abs(got.astype(int) - compose(L, ab, method=method)).max() <= 1
        with pytest.raises(ConfigError, match="bilinear, guided"):
            runner.render(features, [RED], NO_GLOBAL_HINTS, L, "edge-aware")

    @pytest.mark.parametrize("method", ["bilinear", "guided"])
    @pytest.mark.parametrize("strength", [0.0, 0.6, 2.0])
    def test_strength_is_a_factor_on_the_finished_colours(self, opened: Opened, method: str, strength: float) -> None:
        runner = opened.runner
        features = runner.encode(opened.lightness)
        L = np.linspace(5, 95, 61 * 97, dtype=np.float32).reshape(61, 97)
        ab = runner.colorize(features, [RED])
        for known in (None, ab):
            got = runner.render(features, [RED], NO_GLOBAL_HINTS, L, method, known, strength)
            assert np.abs(got.astype(int) - compose(L, ab * np.float32(strength), method=method)).max() <= 1
            plain = runner.render(features, [RED], NO_GLOBAL_HINTS, L, method, known)
            assert np.abs(plain.astype(int) - compose(L, ab, method=method)).max() <= 1, "the next picture is as before"
        for impossible in (-0.1, 2.1, float("nan")):
            with pytest.raises(HintRejected, match=r"strength .* is not possible"):
                runner.render(features, [RED], NO_GLOBAL_HINTS, L, method, None, impossible)

    def test_vivid_multiplies_the_automatic_colours_and_hints_keep_theirs(self, opened: Opened) -> None:
        runner = opened.runner
        for impossible in (0.4, 2.1, float("nan")):
            with pytest.raises(HintRejected, match=r"vivid .* is not possible; it runs from 0\.5 to 2"):
                runner.with_vivid(runner.encode(opened.lightness), impossible)
            with pytest.raises(HintRejected, match=r"vivid .* is not possible; it runs from 0\.5 to 2"):
                runner.encode(opened.lightness, impossible)
        plain = runner.encode(opened.lightness)
        if not takes_vivid(runner.bundle):
            with pytest.raises(HintRejected, match="vivid must be 1; use touch"):
                runner.with_vivid(plain, 1.3)
            return
        vivid = runner.with_vivid(plain, 1.3)
        assert (plain.vivid, vivid.vivid) == (1.0, 1.3)
        automatic = runner.colorize(plain, ())
        encoded = runner.encode(opened.lightness, vivid=1.3)
        assert encoded.vivid == 1.3
        for features in (vivid, encoded, runner.with_vivid(runner.with_vivid(plain, 0.7), 1.3)):
            np.testing.assert_allclose(runner.colorize(features, ()), automatic * 1.3, atol=2e-3)
            ab = runner.colorize(features, [RED, GREEN])
            for hint in (RED, GREEN):
                row, column = int(hint.y * ab.shape[1]), int(hint.x * ab.shape[2])
                assert np.hypot(*(ab[:, row, column] - (hint.a, hint.b))) < 1
        np.testing.assert_allclose(runner.colorize(runner.with_vivid(vivid, 1.0), ()), automatic, atol=2e-3)
        np.testing.assert_allclose(runner.colorize(plain, ()), automatic, atol=1e-5, err_msg="features do not change")
        likely = [runner.distribution(features, (), NO_GLOBAL_HINTS, POINTS) for features in (plain, vivid)]
        np.testing.assert_allclose(likely[0], likely[1], atol=1e-6)

    def test_features_of_another_runner_are_refused(self, opened: Opened) -> None:
        features = opened.other.encode(opened.lightness)
        questions = (
            lambda: opened.runner.colorize(features, ()),
            lambda: opened.runner.distribution(features, (), NO_GLOBAL_HINTS, POINTS),
            lambda: opened.runner.influence(features, [RED], [0]),
            lambda: opened.runner.render(features, (), NO_GLOBAL_HINTS, opened.lightness),
            lambda: opened.runner.feature_maps(features),
            lambda: opened.runner.encoder_features(features),
            lambda: opened.runner.with_vivid(features, 1.3),
        )
        for question in questions:
            with pytest.raises(RunnerError, match="these features are another runner's; encode the photograph with"):
                question()

    def test_what_the_model_does_not_take_is_refused(self, opened: Opened) -> None:
        runner = opened.runner
        settings = runner.bundle.manifest.input
        features = runner.encode(opened.lightness)
        if settings.max_hints:
            with pytest.raises(HintRejected, match=f"takes at most {settings.max_hints} hints and got"):
                runner.colorize(features, [RED] * (settings.max_hints + 1))
        if not settings.takes_global:
            with pytest.raises(HintRejected, match="takes no histogram or saturation"):
                runner.colorize(features, (), GlobalHints(saturation=0.5))

    def test_other_sizes_nan_and_infinity_are_refused(self, opened: Opened) -> None:
        with pytest.raises(RunnerError, match=r"L has shape \(3, 5\); model .* works at"):
            opened.runner.encode(np.zeros((3, 5), np.float32))
        broken = opened.lightness
        broken[1, 1] = np.nan
        with pytest.raises(RunnerError, match="NaN or infinity"):
            opened.runner.encode(broken)

    def test_a_closed_runner_answers_with_an_error(self, opened: Opened) -> None:
        with opened.other as runner:
            features = runner.encode(opened.lightness)
        assert runner.closed
        runner.close()
        questions = (
            lambda: runner.encode(opened.lightness),
            lambda: runner.colorize(features, ()),
            lambda: runner.distribution(features, (), NO_GLOBAL_HINTS, POINTS),
            lambda: runner.influence(features, [RED], [0]),
            lambda: runner.render(features, (), NO_GLOBAL_HINTS, opened.lightness),
            lambda: runner.feature_maps(features),
            lambda: runner.encoder_features(features),
            lambda: runner.with_vivid(features, 1.3),
        )
        for question in questions:
            with pytest.raises(RunnerError, match="this runner is closed; make a new one"):
                question()
