// SPDX-License-Identifier: BSL-1.0
#include <asyncio/detail/pool.hpp>

#include <asyncio/detail/thread_state.hpp>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

namespace asyncio::inline v1::detail {

namespace {

// The address sanitizer could not see the use of a block that was freed and stands here.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool pools_memory = false;
#elif defined(__has_feature)
constexpr bool pools_memory = !__has_feature(address_sanitizer);
#else
constexpr bool pools_memory = true;
#endif

/// Memory that is cut into pieces of one size.
class Stock {
 public:
  Stock(char* begin, std::size_t piece, std::size_t pieces) noexcept
      : piece_(piece), fresh_(begin), end_(begin + piece * pieces) {}

  bool exhausted() const noexcept { return !free_ && fresh_ == end_; }
  bool unused() const noexcept { return used_ == 0; }
  void* take() noexcept {
    ++used_;
    if (free_) return std::exchange(free_, free_->next);
    return std::exchange(fresh_, fresh_ + piece_);
  }
  void put(void* piece) noexcept {
    --used_;
    free_ = new (piece) Pool::Block{free_};
  }

 private:
  friend class Shelf;
  const std::size_t piece_;
  std::size_t used_ = 0;
  Pool::Block* free_ = nullptr;  // pieces that were used
  char* fresh_;                  // what was not cut yet
  char* const end_;
  Stock* previous_ = nullptr;
  Stock* next_ = nullptr;
};

/// Stocks that have something to give.
class Shelf {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  Stock& front() const noexcept { return *first_; }
  void add(Stock& stock) noexcept {
    stock.previous_ = nullptr;
    stock.next_ = first_;
    if (first_) first_->previous_ = &stock;
    first_ = &stock;
  }
  void* take() noexcept {
    void* const piece = first_->take();
    if (first_->exhausted()) remove(*first_);
    return piece;
  }
  /// Into the stock that it is of; true if nothing of that is in use, it stands here no more then.
  bool put(Stock& stock, void* piece) noexcept {
    if (stock.exhausted()) add(stock);
    stock.put(piece);
    if (!stock.unused()) return false;
    remove(stock);
    return true;
  }

 private:
  void remove(Stock& stock) noexcept {
    (stock.previous_ ? stock.previous_->next_ : first_) = stock.next_;
    if (stock.next_) stock.next_->previous_ = stock.previous_;
  }

  Stock* first_ = nullptr;
};

/// Asks for all pages of what is about to be used: a page fault for each would cost more than what
/// is put there. Whether the kernel can do it does not matter.
void populate([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t size) noexcept {
#if defined(MADV_POPULATE_WRITE)
  ::madvise(memory, size, MADV_POPULATE_WRITE);
#endif
}

class Region;

/// A stock of blocks. A block's address tells which chunk it is of.
class Chunk : public Stock {
 public:
  static constexpr std::size_t size = 64 * 1024;

  Chunk(Region& region, std::size_t index) noexcept
      : Stock(reinterpret_cast<char*>(this) + header, Pool::size_of(index),
              (size - header) / Pool::size_of(index)),
        region(region),
        index(index) {
    static_assert(sizeof(Chunk) <= header);
  }
  static Chunk& of(const Pool::Block& block) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(&block);
    return *reinterpret_cast<Chunk*>(address - address % size);
  }

  Region& region;
  const std::size_t index;  // the blocks' class

 private:
  static constexpr std::size_t header = 128;
};

/// A stock of chunks: what is asked of malloc, and given back to it, in one piece.
class Region : public Stock {
 public:
  static Region& make() {
    // One chunk more, for the first one begins where an address is a multiple of its size.
    return *new (::operator new(sizeof(Region) + (chunks + 1) * Chunk::size)) Region;
  }
  static void destroy(Region& region) noexcept { ::operator delete(&region); }

 private:
  static constexpr std::size_t chunks = 16;

  Region() noexcept : Stock(first_chunk(), Chunk::size, chunks) {}
  char* first_chunk() noexcept {
    const auto behind = reinterpret_cast<std::uintptr_t>(this + 1);
    return reinterpret_cast<char*>(this + 1) + (Chunk::size - behind % Chunk::size);
  }
};

/// What all threads share. What nobody uses any more is freed.
class Depot {
 public:
  using Block = Pool::Block;
  struct Blocks {
    Block* first;
    unsigned count;
  };

  /// At most so many, at least one.
  Blocks take(std::size_t index, unsigned most) {
    const std::lock_guard lock(mutex_);
    Shelf& shelf = blocks_[index];
    if (shelf.empty()) open_chunk(index);
    Blocks blocks{nullptr, 0};
    Block** last = &blocks.first;
    do {
      *last = static_cast<Block*>(shelf.take());
      last = &(*last)->next;
    } while (++blocks.count != most && !shelf.empty());
    *last = nullptr;
    return blocks;
  }
  void put(Block* blocks) noexcept {
    const std::lock_guard lock(mutex_);
    while (blocks) {
      Block& block = *blocks;
      blocks = block.next;
      Chunk& chunk = Chunk::of(block);
      if (!blocks_[chunk.index].put(chunk, &block)) continue;
      --opened_[chunk.index];
      Region& region = chunk.region;
      if (chunks_.put(region, &chunk)) Region::destroy(region);
    }
  }

 private:
  void open_chunk(std::size_t index) {
    if (chunks_.empty()) chunks_.add(Region::make());
    auto& region = static_cast<Region&>(chunks_.front());
    void* const memory = chunks_.take();
    if (opened_[index]++ != 0) populate(memory, Chunk::size);  // it has filled one already
    blocks_[index].add(*new (memory) Chunk(region, index));
  }

  std::mutex mutex_;
  Shelf chunks_;
  Shelf blocks_[Pool::classes];
  std::size_t opened_[Pool::classes] = {};  // chunks, by class
};

constinit Depot depot;

constinit thread_local bool thread_ends = false;

}  // namespace

constinit Pool Pool::nobodys{Pool::Nobodys()};

constinit thread_local ThreadState thread_state;

/// A thread's pool, from the thread's first block to its end.
class Pool::Owner {
 public:
  Owner() noexcept { thread_state.pool = &pool_; }
  ~Owner() {
    thread_ends = true;
    thread_state.pool = &nobodys;
    pool_.give_back_all();
  }
  Pool& pool() noexcept { return pool_; }

 private:
  Pool pool_;
};

/// Null for the last of its thread-local objects.
Pool* Pool::of_this_thread() noexcept {
  if (thread_ends) return nullptr;
  thread_local Owner owner;
  return &owner.pool();
}

void* Pool::fetch(std::size_t size) {
  const std::size_t index = class_of(size);
  if (!pools_memory || index >= classes) return ::operator new(size);
  Pool* const pool = of_this_thread();
  if (!pool) return depot.take(index, 1).first;
  constexpr std::size_t page = 4096;  // no more is touched ahead of need
  const Depot::Blocks blocks = depot.take(index, static_cast<unsigned>(page / size_of(index)));
  pool->free_[index] = blocks.first->next;
  pool->count_[index] = blocks.count - 1;
  return blocks.first;
}

void Pool::give_away(void* memory, std::size_t size) noexcept {
  const std::size_t index = class_of(size);
  if (!pools_memory || index >= classes) return ::operator delete(memory);
  Block& block = *static_cast<Block*>(memory);
  if (Pool* const pool = of_this_thread()) {
    // So few that they are in the cache still.
    if (pool->count_[index] == keep) pool->give_back(index, keep / 16);
    pool->push(index, block);
  } else {
    block.next = nullptr;
    depot.put(&block);
  }
}

/// Those that were freed last.
void Pool::give_back(std::size_t index, unsigned blocks) noexcept {
  if (blocks == 0) return;
  Block* const first = free_[index];
  Block* last = first;
  for (unsigned i = 1; i != blocks; ++i) last = last->next;
  free_[index] = last->next;
  count_[index] -= blocks;
  last->next = nullptr;
  depot.put(first);
}

void Pool::give_back_all() noexcept {
  for (std::size_t index = 0; index != classes; ++index) give_back(index, count_[index]);
}

void Pool::trim() noexcept {
  if (thread_state.pool != &nobodys) thread_state.pool->give_back_all();
}

}  // namespace asyncio::inline v1::detail
