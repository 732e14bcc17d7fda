#!/usr/bin/env bash
# Checks and times the core on a machine with an NVIDIA GPU. Needs nvcc with cuBLAS, CMake, ninja or make, a C++17 compiler; no Node.
#
#   bench/gpu.sh --pack FILE      here: writes the archive that such a machine needs (sources, llama.cpp with our patches, demo model)
#   tar xzf FILE && bench/gpu.sh [OUT]   there: builds for that machine's GPU, runs the checks, then the measurements
#
# Output goes to OUT (default build/gpu-out): build.log, checks.log, head.txt, speed-*.json; the table is printed last.
# SECONDS_LEFT=n leaves out what would not fit: measurements of the 7B shape need about 240 s after the build.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --pack ]; then
  [ -n "${2:-}" ] || { echo "usage: bench/gpu.sh --pack FILE" >&2; exit 2; }
  [ -f deps/llama.cpp/CMakeLists.txt ] || node scripts/llama-source.mjs || exit 1
  # ggml's other backends and their shaders are not built there
  tar czf "$2" --exclude='deps/llama.cpp/ggml/src/ggml-vulkan' --exclude='deps/llama.cpp/ggml/src/ggml-sycl' --exclude='deps/llama.cpp/ggml/src/ggml-opencl' \
    --exclude='deps/llama.cpp/ggml/src/ggml-metal' --exclude='deps/llama.cpp/ggml/src/ggml-cann' --exclude='deps/llama.cpp/ggml/src/ggml-hexagon' \
    --exclude='deps/llama.cpp/ggml/src/ggml-webgpu' CMakeLists.txt native deps/llama.cpp demo/*.gguf test/fixtures bench/gpu.sh
  ls -l "$2"
  exit
fi

out=${1:-build/gpu-out}
mkdir -p "$out"
out=$(cd "$out" && pwd)
dir=build/gpu
started=$(date +%s)
elapsed() { echo $(($(date +%s) - started)); }
left() { echo $((${SECONDS_LEFT:-3600} - $(elapsed))); }
failed=0
passed=0
# NAME COMMAND...: one check, its output in checks.log
check() {
  local name=$1
  shift
  echo "== $name" >> "$out/checks.log"
  if timeout "${LIMIT:-120}" "$@" >> "$out/checks.log" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $name ($(elapsed) s)"
  else
    failed=$((failed + 1))
    echo "FAILED  $name ($(elapsed) s): the end of $out/checks.log:"
    tail -n 12 "$out/checks.log"
  fi
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || { echo "no NVIDIA driver here" >&2; exit 1; }
architecture=${ARCH:-$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)}

# the kernel alone first: it needs nothing else
mkdir -p "$dir"
nvcc -std=c++17 -O3 -lineinfo -gencode="arch=compute_$architecture,code=sm_$architecture" -o "$dir/head-cuda" native/bench/head-cuda.cu native/cuda/rpn-head.cu > "$out/build.log" 2>&1 \
  || { cat "$out/build.log"; exit 1; }
echo "built the kernel's program in $(elapsed) s"

generator=()
command -v ninja > /dev/null && generator=(-G Ninja)
(
  cmake -S . -B "$dir" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DSD_RPN_ADDON=OFF -DSD_RPN_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES="$architecture-real" \
    -DGGML_CUDA_NCCL=OFF -DGGML_CUDA_NO_VMM=ON -DGGML_CCACHE=OFF -DGIT_EXE= -DLLAMA_BUILD_COMMIT=v0.5.0 -DLLAMA_BUILD_NUMBER=0 \
    && cmake --build "$dir" --parallel "$(nproc)" --target synth-model \
    && touch "$dir/synth-ready" \
    && cmake --build "$dir" --parallel "$(nproc)" --target test-rpn test-parity speed test-session
) >> "$out/build.log" 2>&1 &
build=$!

check "kernel against double precision" "$dir/head-cuda" --quick
if command -v compute-sanitizer > /dev/null; then
  for tool in memcheck racecheck synccheck; do
    LIMIT=90 check "compute-sanitizer $tool" compute-sanitizer --tool "$tool" --error-exitcode 1 "$dir/head-cuda" --quick
  done
fi

# where time is short, the kernel's figures go before the rest
while kill -0 $build 2> /dev/null; do
  if [ "$(left)" -lt 60 ]; then
    pkill -P $build
    kill $build 2> /dev/null
    "$dir/head-cuda" | tee "$out/head.txt"
    grep -c Building "$out/build.log"
    echo "the build was not done after $(elapsed) s: its log is $out/build.log" >&2
    exit 1
  fi
  sleep 1
done
wait $build || { "$dir/head-cuda" | tee "$out/head.txt"; tail -n 40 "$out/build.log"; echo "the build failed after $(elapsed) s" >&2; exit 1; }
echo "built everything in $(elapsed) s"

# now nothing else runs
"$dir/head-cuda" > "$out/head.txt" 2>&1 || failed=$((failed + 1))
tests=$dir/native/test
export SD_RPN_TEST_DEVICE=gpu
check "golden network on the GPU" "$tests/test-rpn"
check "features and logits of the demo model on the GPU" "$tests/test-parity"
check "sessions on the GPU" "$tests/test-session"
unset SD_RPN_TEST_DEVICE
grep -E '^(==|  )' "$out/checks.log" | grep -A40 '== golden network' | head -60

# 13 GB of files at f16; q8_0 is half of it
shape() { # TYPE
  local models=$dir/models-$1
  [ -d "$models" ] || "$dir/native/bench/synth-model" --shape llava-1.5-7b --scale "${SCALE:-1}" --type "$1" --out "$models" > "$out/synth-$1.log" 2>&1 || { cat "$out/synth-$1.log"; return 1; }
  local rpn model mmproj
  rpn=$(ls "$models"/*rpn*.gguf | head -1)
  mmproj=$(ls "$models"/*mmproj*.gguf | head -1)
  model=$(ls "$models"/*.gguf | grep -v -e rpn -e mmproj | head -1)
  timeout "$(left)" "$dir/native/bench/speed" --model "$model" --mmproj "$mmproj" --rpn "$rpn" --runs "${RUNS:-7}" --sessions 1 --max-tokens 16 --decode-tokens 64 \
    > "$out/speed-$1.json" 2> "$out/speed-$1.log" || { cat "$out/speed-$1.log"; return 1; }
}
for type in ${TYPES:-q8_0}; do
  [ "$(left)" -gt 60 ] || { echo "no time is left for $type"; continue; }
  shape "$type" || failed=$((failed + 1))
  echo "measured $type ($(elapsed) s)"
done

echo
cat "$out/head.txt"
for type in ${TYPES:-q8_0}; do
  [ -s "$out/speed-$type.json" ] || continue
  python3 - "$out/speed-$type.json" << 'PY' || cat "$out/speed-$type.json"
import json, sys
d = json.load(open(sys.argv[1]))
p = d["phases"]
print(d["model"]["name"], d["machine"])
for name, v in p.items():
    ms = sorted(v["ms"])
    print(f"{name:16} {v['median']:9.2f} ms ({ms[0]:.2f}-{ms[-1]:.2f}), without vision {v['medianWithoutVision']:9.2f}")
def ratio(a, b, what="median"):
    if a in p and b in p:
        print(f"{a} / {b} ({what}): {p[a][what] / p[b][what]:.3f}")
for a, b in [("roi_first", "full_prefill"), ("roi_repeat", "full_prefill"), ("answer_first", "reference"), ("answer_next", "reference"), ("answer_first", "one_view")]:
    ratio(a, b)
PY
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
