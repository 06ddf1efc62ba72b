"""CMake: the kernels' lab under CTest, the fatbin with nvcc, and an install without nvcc."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.needs import needs

from .library import ROOT

pytestmark = needs("cmake")


def run(*command: object, succeeds: bool = True) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return done.stdout + done.stderr


def configure(folder: Path, *options: str, succeeds: bool = True) -> str:
    return run("cmake", "-S", ROOT, "-B", folder, *(f"-D{option}" for option in options), succeeds=succeeds)


@needs("c++")
def test_ctest_runs_the_lab_on_the_cpu(tmp_path):
    configure(tmp_path, "LIVETINT_KERNEL_TESTS=ON")
    run("cmake", "--build", tmp_path, "--parallel", "2")
    assert list(tmp_path.rglob("libkernels_cpu*"))
    printed = run("ctest", "--test-dir", tmp_path, "--verbose")
    assert "WRONG" not in printed
    verdict = re.search(r"(\d+) of (\d+) launches are right", printed)
    assert verdict and int(verdict[1]) == int(verdict[2]) > 50


def test_a_missing_nvcc_is_not_an_error(tmp_path):
    printed = configure(tmp_path, "LIVETINT_KERNELS=ON", "LIVETINT_NVCC=")
    assert "No nvcc found: installed without CUDA kernels" in printed
    run("cmake", "--build", tmp_path)
    run("cmake", "--install", tmp_path, "--prefix", tmp_path / "installed")
    assert not list(tmp_path.rglob("*.fatbin"))


@needs("nvcc")
def test_nvcc_compiles_for_the_architectures_that_it_knows(tmp_path):
    printed = configure(tmp_path, "LIVETINT_KERNELS=ON", "LIVETINT_CUDA_ARCHITECTURES=86;9999")
    assert "CUDA kernels for 86 and PTX of 86" in printed
    run("cmake", "--build", tmp_path)
    run("cmake", "--install", tmp_path, "--prefix", tmp_path / "installed")
    fatbin = (tmp_path / "installed/livetint/engine/kernels/kernels.fatbin").read_bytes()
    assert fatbin[:4] == b"\x50\xed\x55\xba"  # a fat binary's magic number
    refused = configure(tmp_path, "LIVETINT_KERNELS=ON", "LIVETINT_CUDA_ARCHITECTURES=9999", succeeds=False)
    assert "set LIVETINT_CUDA_ARCHITECTURES" in refused


@needs("nvcc")
@needs("c++")
def test_the_lab_compiles_for_a_gpu(tmp_path):
    """Only to PTX; the test above runs ptxas."""
    configure(tmp_path, "LIVETINT_KERNEL_TESTS=ON", "LIVETINT_LAB_ARCHITECTURE=compute_86")
    run("cmake", "--build", tmp_path, "--target", "kernel_lab_cuda")
    assert list(tmp_path.rglob("kernel_lab_cuda"))
