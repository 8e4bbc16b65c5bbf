// SPDX-License-Identifier: BSL-1.0
// How much a transport has yet to send, and when its protocol has to pause. Knows no sockets.
#pragma once

#include <asyncio/constants.hpp>
#include <asyncio/transports.hpp>
#include <cstddef>
#include <utility>

namespace asyncio::inline v1::detail {

/// Between which sizes a buffer's owner is told to pause and to go on.
struct WaterMarks {
  std::size_t high;
  std::size_t low;
};

/// ValueError if low would be above high, which is `usual_high` if neither is given.
WaterMarks water_marks(WriteBufferLimits limits, std::size_t usual_high);

/// Those of an owner who was told nothing.
constexpr WaterMarks usual_water_marks(std::size_t high) noexcept { return {high, high / 4}; }

/// What the write buffers have in common (rule 138): pause and resume alternate, pause first.
class FlowControl {
 public:
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  std::size_t low() const noexcept { return marks_.low; }
  std::size_t high() const noexcept { return marks_.high; }
  /// ValueError, and nothing changed, if low would be above high.
  void set_limits(WriteBufferLimits limits) {
    marks_ = water_marks(limits, constants::high_water);
  }
  bool paused() const noexcept { return paused_; }
  /// To be asked when data or limits came: is pause_writing() to be called now?
  bool pause_due() noexcept { return size_ > marks_.high && !std::exchange(paused_, true); }
  /// To be asked after a flush: is resume_writing() to be called now?
  bool resume_due() noexcept { return size_ <= marks_.low && std::exchange(paused_, false); }

 protected:
  FlowControl() = default;
  ~FlowControl() = default;

  std::size_t size_ = 0;

 private:
  WaterMarks marks_ = usual_water_marks(constants::high_water);
  bool paused_ = false;
};

}  // namespace asyncio::inline v1::detail
