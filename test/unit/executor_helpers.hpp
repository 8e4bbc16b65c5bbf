// SPDX-License-Identifier: BSL-1.0
// For tests of executors: a job that is held up, an executor that does nothing by itself, and in
// which thread things happen.
#pragma once

#include <latch>
#include <thread>
#include <utility>
#include <vector>

#include <asyncio/exceptions.hpp>
#include <asyncio/executors.hpp>

namespace executor_tests {

/// Holds up a job until the test opens it.
class Gate {
 public:
  ~Gate() { open(); }
  /// In the job.
  void pass() {
    reached_.count_down();
    opened_.wait();
  }
  void wait_until_reached() { reached_.wait(); }
  void open() {
    if (!std::exchange(is_open_, true)) opened_.count_down();
  }

 private:
  std::latch reached_{1};
  std::latch opened_{1};
  bool is_open_ = false;
};

/// For a job that is to be still at work when its executor is shut down: returns when it is.
inline void wait_for_shutdown(asyncio::ThreadPoolExecutor& pool) {
  try {
    for (;;) {
      (void)pool.submit([] {});
      std::this_thread::yield();
    }
  } catch (const asyncio::RuntimeError&) {
  }
}

/// Keeps the work until it is asked.
class LazyExecutor : public asyncio::Executor {
 public:
  void execute(Job job) override { jobs.push_back(std::move(job)); }
  void shutdown(bool) override {}
  std::vector<Job> jobs;
};

/// Notes the thread in which it is destroyed.
class Traveller {
 public:
  explicit Traveller(std::thread::id& destroyed_in) : destroyed_in_(&destroyed_in) {}
  Traveller(Traveller&& other) noexcept
      : destroyed_in_(std::exchange(other.destroyed_in_, nullptr)) {}
  ~Traveller() {
    if (destroyed_in_) *destroyed_in_ = std::this_thread::get_id();
  }

 private:
  std::thread::id* destroyed_in_;
};

inline std::thread::id this_id() { return std::this_thread::get_id(); }

}  // namespace executor_tests
