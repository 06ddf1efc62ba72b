#!/bin/sh
# Builds pycuda against the stand-in driver and CUDA's headers from their wheels, so that a machine with neither a
# GPU nor the CUDA toolkit can run the GPU runner's tests. The same pycuda works with a real driver, unoptimised.
# About 90 seconds; the wheel is kept in the user's cache and found there the next time.
#
#   sh tests/fakecuda/install_pycuda.sh [PYTHON]      PYTHON: .venv/bin/python if not given
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${1:-$here/../../.venv/bin/python}
version=2026.1

"$python" -c 'import pycuda' 2>/dev/null && exit 0
tag=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("SOABI"))')
pip() { "$python" -m pip --disable-pip-version-check -q "$@"; }
kept=${XDG_CACHE_HOME:-$HOME/.cache}/livetint/wheels/$version-$tag
if ! ls "$kept"/pycuda-*.whl >/dev/null 2>&1; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    pip install --no-deps --target "$work/cuda" 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-profiler-api==13.0.*'
    mkdir "$work/driver" "$work/source" "$work/wheel"
    c++ -std=c++17 -O1 -fPIC -shared "$here/driver.cpp" -Wl,-soname,libcuda.so.1 -o "$work/driver/libcuda.so" -ldl
    pip download --no-deps --no-binary pycuda -d "$work" "pycuda==$version"
    tar -xzf "$work/pycuda-$version.tar.gz" -C "$work/source" --strip-components 1
    cat >"$work/source/siteconf.py" <<EOF
CUDA_INC_DIR = ["$work/cuda/nvidia/cu13/include"]
CUDADRV_LIB_DIR = ["$work/driver"]
CUDA_ENABLE_CURAND = False
CXXFLAGS = ["-O0", "-g0"]
EOF
    pip wheel --no-deps -w "$work/wheel" "$work/source"
    mkdir -p "$kept"
    mv "$work"/wheel/pycuda-*.whl "$kept/"
fi
pip install -c "$here/../../constraints.txt" "$kept"/pycuda-*.whl
