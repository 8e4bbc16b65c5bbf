// SPDX-License-Identifier: BSL-1.0
// Where a guest lives.
#pragma once

#include <asyncio/event_loop.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <optional>
#include <type_traits>

namespace asyncio::inline v1 {

namespace detail {

struct Host {
  using Strand = boost::asio::strand<boost::asio::io_context::executor_type>;

  boost::asio::io_context& context;
  std::optional<Strand> strand;  // none: one thread at a time runs the context
};

}  // namespace detail

template <class Executor>
EventLoop::EventLoop(const boost::asio::strand<Executor>& strand, LoopOptions options)
    : EventLoop(detail::Host{strand.get_inner_executor().context(), strand}, options) {
  static_assert(std::is_same_v<Executor, boost::asio::io_context::executor_type>,
                "asyncio: a loop lives on a strand of an io_context, as make_strand(context) "
                "makes it");
}

}  // namespace asyncio::inline v1
