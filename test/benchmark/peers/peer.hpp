// SPDX-License-Identifier: BSL-1.0
// What every echo server here has in common: EXE PORT listens on 127.0.0.1:PORT, prints READY and
// echoes until it is killed.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>

inline constexpr int backlog = 4096;

inline std::uint16_t port_argument(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s PORT\n", argv[0]);
    std::exit(2);
  }
  return static_cast<std::uint16_t>(std::atoi(argv[1]));
}

/// Everybody may connect now.
inline void announce() {
  std::puts("READY");
  std::fflush(stdout);
}
