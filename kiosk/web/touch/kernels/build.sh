#!/bin/sh
# Compile the kernels to WebAssembly: build.sh FOLDER writes kernels.wasm, and kernels.txt with its SHA-256 and the
# compiler's version. It needs clang and lld (Debian: apt-get install clang lld).
set -eu
sources=$(dirname "$0")
out=${1:-$sources/..}
clang --target=wasm32 -std=c11 -O2 -msimd128 -mbulk-memory -ffp-contract=off -fno-builtin -nostdlib -fvisibility=hidden \
    -Wall -Wextra -Werror -fuse-ld=lld -Wl,--no-entry -Wl,--export-dynamic -Wl,-z,stack-size=131072 -Wl,--strip-all \
    -o "$out/kernels.wasm" "$sources"/*.c
{
    sha256sum <"$out/kernels.wasm" | cut -d' ' -f1
    clang --version | head -n 1
} >"$out/kernels.txt"
