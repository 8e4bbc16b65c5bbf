// SPDX-License-Identifier: BSL-1.0
// What the programs with workloads have in common: EXE WORKLOAD [N] prints
// "RESULT workload ops value unit"; EXE list prints the names. N is the number of operations.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

#include <sys/resource.h>
#include <unistd.h>

inline double now() {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

inline double cpu_time() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Bytes of this process that are in memory.
inline double resident() {
  long pages = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  if (!file || std::fscanf(file, "%*s %ld", &pages) != 1) std::abort();
  std::fclose(file);
  return static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

struct Measured {
  std::uint64_t operations;
  double value;  // per operation
  const char* unit = "ns";
};

/// Nanoseconds per operation of what `work` does.
template <class Clock, class Work>
Measured timed(Clock clock, std::uint64_t operations, Work work) {
  const double begin = clock();
  work();
  return {operations, (clock() - begin) * 1e9 / static_cast<double>(operations)};
}

/// Reproducible numbers between 0 and 1.
struct Random {
  std::uint32_t state = 12345;
  double operator()() {
    state = state * 1664525 + 1013904223;
    return static_cast<double>(state >> 8) / (1 << 24);
  }
};

struct Workload {
  std::string_view name;
  std::uint64_t usual;  // operations
  Measured (*run)(std::uint64_t operations);
};

/// The program's main().
inline int run_workload(int argc, char** argv, std::span<const Workload> workloads) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "list") {
    for (const Workload& workload : workloads)
      std::printf("%.*s\n", static_cast<int>(workload.name.size()), workload.name.data());
    return 0;
  }
  const auto workload = std::ranges::find(workloads, name, &Workload::name);
  const std::uint64_t n = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  if (workload == workloads.end() || (argc > 2 && n == 0)) {
    std::fprintf(stderr, "usage: %s WORKLOAD [N] | %s list\n", argv[0], argv[0]);
    return 2;
  }
  const Measured measured = workload->run(n ? n : workload->usual);
  std::printf("RESULT %s %llu %.2f %s\n", argv[1],
              static_cast<unsigned long long>(measured.operations), measured.value, measured.unit);
  return 0;
}
