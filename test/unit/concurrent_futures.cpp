// SPDX-License-Identifier: BSL-1.0
//
// The futures that executors give, which threads wait for (LC8).
#include <asyncio/executors.hpp>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core_helpers.hpp"
#include "executor_helpers.hpp"

using namespace asyncio;
using namespace core_tests;
using namespace executor_tests;

namespace {

/// What result() throws.
template <class Future>
std::string outcome(const Future& future) {
  return thrown_by([&] { (void)future.result(); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(concurrent_futures_tests)

BOOST_AUTO_TEST_CASE(result_waits_for_another_thread) {
  const ConcurrentFuture<int> future;
  std::thread worker([future] { future.set_result(7); });
  BOOST_TEST(future.result() == 7);
  BOOST_TEST(future.done());
  BOOST_TEST((future.exception() == nullptr));
  worker.join();
}

BOOST_AUTO_TEST_CASE(result_throws_the_exception_and_exception_gives_it) {
  const ConcurrentFuture<int> future;
  future.set_exception(ValueError("x"));
  BOOST_CHECK_EXCEPTION(future.result(), ValueError, says("x"));
  BOOST_TEST(repr(future.exception()) == "ValueError('x')");
}

BOOST_AUTO_TEST_CASE(result_that_does_not_come_in_time_is_a_timeout_error) {
  const ConcurrentFuture<int> future;
  BOOST_CHECK_THROW(future.result(0), TimeoutError);
  BOOST_CHECK_THROW(future.exception(0), TimeoutError);
  future.set_result(1);
  BOOST_TEST(future.result(0) == 1);
  BOOST_TEST(future.result(Duration::max()) == 1);
}

BOOST_AUTO_TEST_CASE(a_result_that_cannot_be_copied_is_moved_out) {
  const ConcurrentFuture<std::unique_ptr<int>> future;
  future.set_result(std::make_unique<int>(3));
  BOOST_TEST(*future.result() == 3);
}

BOOST_AUTO_TEST_CASE(cancel_wakes_those_who_wait) {
  const ConcurrentFuture<> future;
  std::string waiter_got;
  std::thread waiter([&, future] { waiter_got = outcome(future); });
  BOOST_TEST(future.cancel());
  waiter.join();
  BOOST_TEST(waiter_got == "CancelledError()");
  BOOST_TEST(future.cancelled());
  BOOST_TEST(future.done());
  BOOST_TEST(future.cancel());  // still so
  BOOST_TEST(!future.set_running_or_notify_cancel());
}

BOOST_AUTO_TEST_CASE(what_has_begun_or_is_done_cannot_be_cancelled) {
  const ConcurrentFuture<> future;
  BOOST_TEST(future.set_running_or_notify_cancel());
  BOOST_TEST(future.running());
  BOOST_TEST(!future.cancel());
  future.set_result();
  BOOST_TEST(!future.running());
  BOOST_TEST(!future.cancel());
}

BOOST_AUTO_TEST_CASE(wrong_use_is_told_in_pythons_words) {
  const ConcurrentFuture<> finished, cancelled;
  finished.set_result();
  cancelled.cancel();
  BOOST_CHECK_EXCEPTION(finished.set_result(), InvalidStateError,
                        says_about("FINISHED: <Future at 0x", " state=finished>"));
  BOOST_CHECK_EXCEPTION(cancelled.set_exception(ValueError()), InvalidStateError,
                        says_about("CANCELLED: <Future at 0x", " state=cancelled>"));
  BOOST_CHECK_EXCEPTION(finished.set_running_or_notify_cancel(), RuntimeError,
                        says("Future in unexpected state"));
  BOOST_TEST(to_string(ConcurrentFuture<>()).ends_with(" state=pending>"));
}

BOOST_AUTO_TEST_CASE(done_callbacks_run_where_it_is_completed_in_order_or_at_once) {
  const ConcurrentFuture<int> future;
  std::vector<std::pair<int, std::thread::id>> calls;
  future.add_done_callback([&](const ConcurrentFuture<int>& done) {
    BOOST_TEST((done == future));
    calls.emplace_back(done.result(), this_id());
  });
  future.add_done_callback([&](auto&&) { calls.emplace_back(2, this_id()); });
  std::thread::id worker_id;
  std::thread worker([&] {
    worker_id = this_id();
    future.set_result(1);
  });
  worker.join();
  future.add_done_callback([&](auto&&) { calls.emplace_back(3, this_id()); });
  const std::vector<std::pair<int, std::thread::id>> expected{
      {1, worker_id}, {2, worker_id}, {3, this_id()}};
  BOOST_TEST((calls == expected));
}

BOOST_AUTO_TEST_CASE(what_a_done_callback_throws_is_logged_and_the_others_run) {
  const CapturedLog log;
  const ConcurrentFuture<> future;
  bool called = false;
  future.add_done_callback([](auto&&) { throw ValueError("x"); });
  future.add_done_callback([&](auto&&) { called = true; });
  future.set_result();
  BOOST_TEST(called);
  BOOST_TEST_REQUIRE(log.records.size() == 1u);
  BOOST_TEST(log.records[0].name == "concurrent.futures");
  BOOST_TEST(log.records[0].message.starts_with("exception calling callback for <Future at 0x"));
}

BOOST_AUTO_TEST_SUITE_END()
