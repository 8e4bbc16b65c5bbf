#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Builds everything and runs all tests: usage `sh cmake/test.sh [PRESET]`, the preset being `release`
# unless another is named. With ASYNCIO_WERROR=ON in the environment a warning is an error.
set -eu
preset=${1:-release}
cd "$(dirname "$0")/.."

sh cmake/bootstrap.sh
cores=$(nproc)
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$cores}"
export CTEST_PARALLEL_LEVEL="${CTEST_PARALLEL_LEVEL:-$cores}"

cmake --preset "$preset"
cmake --build --preset "$preset"
if ! ctest --preset "$preset"; then
  echo "FAILED: tests of preset $preset"
  exit 1
fi
echo "PASSED: all tests of preset $preset"
