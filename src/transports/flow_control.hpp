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
  explicit constexpr WaterMarks(std::size_t usual_high) noexcept
      : high(usual_high), low(usual_high / 4), usual(usual_high) {}

  /// ValueError, and nothing changed, if low would be above high.
  void set(WriteBufferLimits limits);

  std::size_t high;
  std::size_t low;
  std::size_t usual;  // the high one when neither is given
};

/// What the write buffers have in common (rule 138): pause and resume alternate, pause first.
class FlowControl {
 public:
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  std::size_t low() const noexcept { return marks_.low; }
  std::size_t high() const noexcept { return marks_.high; }
  /// ValueError, and nothing changed, if low would be above high.
  void set_limits(WriteBufferLimits limits) { marks_.set(limits); }
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
  WaterMarks marks_{constants::high_water};
  bool paused_ = false;
};

}  // namespace asyncio::inline v1::detail
