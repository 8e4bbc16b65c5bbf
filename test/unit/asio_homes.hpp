// SPDX-License-Identifier: BSL-1.0
// Where a loop may live, for tests that hold in each of these places.
//
// A home has a loop, and run(start, ready): calls start() in the loop's thread, and returns when
// nothing is left to do; by then ready() must be true. It may be asked in any thread.
#pragma once

#include <asyncio/event_loop.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <utility>

namespace asio_homes {

/// The loop has a context of its own.
class Owned {
 public:
  template <class Start, class Ready>
  void run(Start start, Ready ready) {
    boost::asio::post(loop.get_executor(), std::move(start));
    for (int turns = 0; !ready() && turns != 1000; ++turns) turn();
    for (int turns = 0; turns != 10; ++turns) turn();  // nothing more comes
    BOOST_TEST(ready());
  }

  asyncio::EventLoop loop;

 private:
  void turn() {
    loop.stop();
    loop.run_forever();
  }
};

/// The loop is a guest of a context that one thread runs. That ends by itself: as long as there is
/// something to wait for, there is work for the context.
class Guest {
 public:
  template <class Start, class Ready>
  void run(Start start, Ready ready) {
    boost::asio::post(loop.get_executor(), std::move(start));
    context.restart();
    context.run();
    BOOST_TEST(ready());
  }

  boost::asio::io_context context;
  asyncio::EventLoop loop{context};
};

}  // namespace asio_homes
