"""The kernels' table equals the sources; without a fatbin the error says what to do."""

from __future__ import annotations

import ctypes
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livetint.engine import kernels as package
from livetint.engine.errors import RunnerError
from livetint.engine.hints import Hint
from livetint.engine.inputs import AB_SCALE
from livetint.engine.kernels import load_fatbin
from livetint.engine.kernels.table import HINT, KERNELS, hint_records

from tests.needs import needs

from .library import SOURCES, Library, kernel_library

DECLARED = re.compile(r"^KERNEL\((\w+), (\w+),", re.MULTILINE)


def declared() -> dict[str, str]:
    """Kernel → its launch bound's name, from the sources."""
    found = [match for path in SOURCES.glob("*.cu") for match in DECLARED.findall(path.read_text("utf-8"))]
    return {name: bound for bound, name in found if not name.endswith("_plain")}


def test_every_kernel_of_the_sources_is_in_the_table_and_in_the_readme():
    assert set(declared()) == set(KERNELS)
    readme = (SOURCES / "README.md").read_text("utf-8")
    assert [name for name in KERNELS if f"`{name}`" not in readme] == []


def test_the_scale_of_ab_has_one_definition_equal_to_that_of_python():
    found = [
        float(value)
        for path in [*SOURCES.glob("*.cu*"), *SOURCES.glob("lab/*.cu*")]
        for value in re.findall(r"AB_SCALE\w* = ([0-9.]+)f", path.read_text("utf-8"))
    ]
    assert found == [AB_SCALE]


@needs("c++")
@pytest.mark.parametrize("name", KERNELS)
def test_arguments_are_those_of_the_sources(name):
    assert Library().signature(name) == KERNELS[name].arguments


@needs("c++")
def test_arguments_packed_for_the_driver_are_unpacked():
    """pycuda packs them like a C struct: L_plane has pointers, an int and two floats."""
    plane, out = np.array([50, 100, 0, 75], np.float32), np.empty(4, np.float32)
    fields = [("lightness", ctypes.c_void_p), ("plane", ctypes.c_void_p), ("n", ctypes.c_int)]
    layout = type("Packed", (ctypes.Structure,), {"_fields_": [*fields, ("o", ctypes.c_float), ("s", ctypes.c_float)]})
    packed = layout(plane.ctypes.data, out.ctypes.data, 4, 50.0, 100.0)
    library = ctypes.CDLL(str(kernel_library()))
    assert library.L_plane_f32_cpu_packed(1, 1, 1, 256, 1, 1, 0, ctypes.byref(packed)) == 0
    np.testing.assert_array_equal(out, [0, 0.5, -0.5, 0.25])


@given(st.sampled_from(sorted(KERNELS)), st.integers(0, 9000), st.integers(0, 9000))
def test_grids_cover_the_work_and_no_more(name, columns, rows):
    kernel = KERNELS[name]
    x, y, z = kernel.grid(columns, rows)
    across, down = kernel.tile
    assert z == 1 and x * across >= columns and y * down >= rows
    assert x == 1 or (x - 1) * across < columns
    assert y == 1 or (y - 1) * down < rows


def test_hint_records_have_the_layout_of_the_kernels():
    records = hint_records([Hint(0.25, 0.5, -3, 4, 7), Hint(1, 0, 1, 2)])
    assert HINT.itemsize == 32 and records.nbytes == 64
    assert records.tobytes()[:16] == np.array([0.25, 0.5]).tobytes()
    assert records.tobytes()[16:28] == np.array([-3, 4, 7], np.float32).tobytes()
    assert len(hint_records([])) == 0


def test_without_a_fatbin_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(package, "FATBIN", tmp_path / "kernels.fatbin")
    with pytest.raises(RunnerError, match=r"LIVETINT_KERNELS=ON.*--device cpu"):
        load_fatbin()
    (tmp_path / "kernels.fatbin").write_bytes(b"fat")
    assert load_fatbin() == b"fat"
