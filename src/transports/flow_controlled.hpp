// SPDX-License-Identifier: BSL-1.0
// What sendfile must know of a transport. Private to the library.
#pragma once

namespace asyncio::inline v1::detail {

/// A transport that tells its protocol to pause writing; files can be copied into it.
class FlowControlled {
 public:
  /// Was pause_writing() called last, and not resume_writing()?
  virtual bool writing_paused() const noexcept = 0;

 protected:
  ~FlowControlled() = default;
};

}  // namespace asyncio::inline v1::detail
