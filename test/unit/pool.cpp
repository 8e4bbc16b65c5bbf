// SPDX-License-Identifier: BSL-1.0
#include <asyncio/detail/thread_state.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "sanitized.hpp"

namespace {

using asyncio::detail::Pool;

/// Memory for so many objects of a size, each filled with its number; freed as somebody says.
class Blocks {
 public:
  Blocks(std::size_t size, std::size_t count) : size_(size) {
    for (std::size_t i = 0; i != count; ++i) {
      blocks_.push_back(asyncio::detail::allocate(size));
      std::memset(blocks_.back(), static_cast<int>(i % 251), size);
    }
  }
  bool intact() const {
    for (std::size_t i = 0; i != blocks_.size(); ++i) {
      const auto* const bytes = static_cast<const unsigned char*>(blocks_[i]);
      for (std::size_t k = 0; k != size_; ++k) {
        if (bytes[k] != i % 251) return false;
      }
    }
    return true;
  }
  /// For all that has this size.
  bool aligned() const {
    for (const void* block : blocks_) {
      const auto address = reinterpret_cast<std::uintptr_t>(block);
      if (address % std::min(size_ & -size_, alignof(std::max_align_t)) != 0) return false;
    }
    return true;
  }
  void free() {
    for (void* block : blocks_) asyncio::detail::deallocate(block, size_);
    blocks_.clear();
  }
  void free_backwards() {
    for (; !blocks_.empty(); blocks_.pop_back())
      asyncio::detail::deallocate(blocks_.back(), size_);
  }
  std::set<void*> addresses() const { return {blocks_.begin(), blocks_.end()}; }

 private:
  std::size_t size_;
  std::vector<void*> blocks_;
};

void in_a_thread(auto function) { std::thread(function).join(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(pool_tests)

BOOST_AUTO_TEST_CASE(every_size_has_room_and_is_aligned) {
  for (std::size_t size : {1, 2, 15, 16, 17, 24, 48, 176, 1000, 1008, 1023, 1024, 1025, 5000}) {
    Blocks blocks(size, 300);
    BOOST_TEST(blocks.intact(), "size " << size);
    BOOST_TEST(blocks.aligned(), "size " << size);
    blocks.free();
  }
}

BOOST_AUTO_TEST_CASE(a_class_holds_its_sizes) {
  for (std::size_t size = 1; size <= 1024; ++size) {
    const std::size_t index = Pool::class_of(size);
    BOOST_TEST(index < Pool::classes);
    BOOST_TEST(Pool::size_of(index) >= size);
    BOOST_TEST(Pool::size_of(index) < size + Pool::granularity);
  }
  BOOST_TEST(Pool::class_of(1025) == Pool::classes);
}

BOOST_AUTO_TEST_CASE(more_than_a_thread_keeps) {
  for (int i = 0; i != 3; ++i) {
    Blocks blocks(48, 3 * Pool::keep);
    BOOST_TEST(blocks.intact());
    i == 1 ? blocks.free_backwards() : blocks.free();
  }
}

BOOST_AUTO_TEST_CASE(what_was_freed_last_is_used_first) {
  if (address_sanitized) return;  // which wants to see who uses what was freed
  Blocks first(48, 5);
  const std::set<void*> addresses = first.addresses();
  first.free();
  Blocks second(48, 5);
  BOOST_TEST(second.addresses() == addresses);
  second.free();
}

BOOST_AUTO_TEST_CASE(freed_in_another_thread) {
  Blocks ours(64, 10'000);
  Blocks kept(64, 100);
  in_a_thread([&] {
    BOOST_TEST(ours.intact());
    ours.free();
  });
  BOOST_TEST(kept.intact());
  Blocks theirs(64, 0);
  in_a_thread([&] { theirs = Blocks(64, 10'000); });
  BOOST_TEST(theirs.intact());  // the thread is gone
  theirs.free();
  kept.free();
}

BOOST_AUTO_TEST_CASE(many_threads_at_once) {
  std::vector<std::thread> threads;
  for (int i = 0; i != 4; ++i) {
    threads.emplace_back([] {
      for (int round = 0; round != 5; ++round) {
        Blocks small(32, Pool::keep + 1000);
        Blocks large(512, 200);
        if (!small.intact() || !large.intact()) std::abort();
        small.free();
        large.free_backwards();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

BOOST_AUTO_TEST_CASE(trimmed) {
  Blocks kept(80, 10);
  Blocks(80, 1000).free();
  Pool::trim();
  BOOST_TEST(kept.intact());
  Blocks more(80, 1000);
  BOOST_TEST(kept.intact());
  more.free();
  kept.free();
  Pool::trim();
  Pool::trim();
}

/// It is no matter where malloc puts what the chunks are cut from.
BOOST_AUTO_TEST_CASE(anywhere_in_memory) {
  void* volatile before = std::malloc(4 << 20);
  std::free(before);  // from now on malloc takes what is smaller from its heap
  for (std::size_t step = 0; step != 4096; ++step) {
    before = std::malloc(2'000'000 + 16 * step);
    Blocks blocks(1024, 70);  // more than a chunk
    BOOST_TEST(blocks.intact());
    blocks.free();
    Pool::trim();
    std::free(before);
  }
}

/// The thread's pool goes before those of its thread-local objects that were made before it.
BOOST_AUTO_TEST_CASE(used_at_the_end_of_a_thread) {
  struct Late {
    ~Late() {
      Blocks blocks(96, 10);
      if (!blocks.intact()) std::abort();
      blocks.free();
      if (block) asyncio::detail::deallocate(block, 96);
    }
    void* block = nullptr;
  };
  in_a_thread([] {
    thread_local Late late;
    late.block = nullptr;  // makes it
    late.block = asyncio::detail::allocate(96);
  });
}

BOOST_AUTO_TEST_SUITE_END()
