#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Sees to it that everything needed to build and test is there: usage `sh cmake/bootstrap.sh [ci]`,
# `ci` for what only the full CI run needs. On Debian and Ubuntu it installs what is missing, when
# it may; otherwise it says what to install and fails.
set -eu

has() { command -v "$1" >/dev/null 2>&1; }

# Is this CMake new enough, and does it find the libraries? (Asks CMake itself, so that a library or
# a compiler from elsewhere, named by CMAKE_PREFIX_PATH or CXX, is as good as a package.)
cmake_is_new() {
  has cmake || return 1
  version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9]*\.[0-9]*\).*/\1/p')
  [ "${version%.*}" -gt 3 ] || { [ "${version%.*}" -eq 3 ] && [ "${version#*.}" -ge 25 ]; }
}
libraries_are_there() {
  probe=$(mktemp -d)
  cat >"$probe/CMakeLists.txt" <<'PROBE'
cmake_minimum_required(VERSION 3.25)
project(probe LANGUAGES CXX)
find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS context log unit_test_framework)
find_package(OpenSSL 3.0 REQUIRED)
PROBE
  cmake -G Ninja -S "$probe" -B "$probe/build" >/dev/null 2>&1 && found=0 || found=1
  rm -rf "$probe"
  return $found
}

# The packages of Boost: the distribution's own if it is new enough; Debian 12 has 1.81 beside it.
boost_packages() {
  own=$(LC_ALL=C apt-cache policy libboost-dev 2>/dev/null | sed -n 's/ *Candidate: 1\.\([0-9]*\).*/\1/p')
  if [ "${own:-0}" -ge 81 ]; then version=; else version=1.81; fi
  echo "libboost$version-dev libboost-context$version-dev libboost-log$version-dev" \
    "libboost-test$version-dev"
}

# Installs packages, or says that they are needed.
if [ "$(id -u)" -eq 0 ]; then
  as_root=
elif has sudo && sudo -n true 2>/dev/null; then
  as_root="sudo -n"
else
  as_root=no
fi
updated=no
update() {
  [ $updated = no ] && [ "$as_root" != no ] && has apt-get || return 0
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
  updated=yes
}
install() {
  if [ "$as_root" = no ] || ! has apt-get; then
    echo "Something needed to build is missing. On Debian and Ubuntu these lines install it:" >&2
    echo "  sudo apt-get update" >&2
    echo "  sudo apt-get install --no-install-recommends $*" >&2
    exit 1
  fi
  update
  echo "installing: $*"
  # Another version of Boost that is there is the user's, who may have a use for it.
  if ! $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends --no-remove "$@"; then
    echo "Could not install: $*" >&2
    echo "If this is because other packages would be removed, decide that yourself:" >&2
    echo "  apt-get install --no-install-recommends $*" >&2
    exit 1
  fi
}

# This distribution's own version.
too_old() {
  echo "CMake 3.25, Boost 1.81, OpenSSL 3.0 or newer are needed; this system's are older." >&2
  exit 1
}

missing=
need() { missing="$missing $*"; }

[ -n "${CXX:-}" ] || has g++ || need g++
cmake_is_new || need cmake
has ninja || need ninja-build
has python3 || need python3
has openssl || need openssl
has curl || need curl
if [ "${1:-}" = ci ]; then
  has clang++-19 || need clang-19
  has strace || need strace
  has valgrind || need valgrind
  # Peers of the benchmark, which it can do without.
  { has pkg-config && pkg-config --exists libuv; } || need pkg-config libuv1-dev
  /usr/bin/python3 -c 'import uvloop' 2>/dev/null || need python3-uvloop
fi
# shellcheck disable=SC2086 # a list of words
[ -z "$missing" ] || install $missing
cmake_is_new || too_old
if ! libraries_are_there; then
  update
  # shellcheck disable=SC2046 # a list of words
  install $(boost_packages) libssl-dev
  libraries_are_there || too_old
fi
