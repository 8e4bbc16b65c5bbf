// SPDX-License-Identifier: BSL-1.0
#include <asyncio/detail/watcher.hpp>

namespace asyncio::inline v1::detail {

/// What a watcher that is no more leaves in a child's list of callbacks: its turns in the passes.
class Watcher::Remnant final : public ReadyNode, public Pooled {
 public:
  explicit Remnant(const Watcher& watcher) noexcept
      : retrieves_(watcher.retrieves_ || watcher.self_.done()),
        turns_(watcher.calls_itself_ && !watcher.self_.done() ? 2 : 1) {}
  void run() override {
    if (--turns_ != 0) return child_->scheduler().push(*this);
    const std::unique_ptr<Remnant> entry(this);
    if (retrieves_) child_->mark_retrieved();
  }
  void drop() noexcept override { delete this; }
  void completed_by(FutureBase& child) noexcept override { child_ = Ref<FutureBase>(&child); }

 private:
  const bool retrieves_;  // nobody else asks for the child's exception
  int turns_;
  Ref<FutureBase> child_;
};

Watcher::~Watcher() {
  if (self_.scheduler().closing()) {
    unwatch();
  } else {
    for (std::size_t i = 0; i != count_; ++i) {
      Node& node = nodes_[i];
      if (!node.child || node.child->done()) continue;
      node.child->replace_callback(node, *new Remnant(*this));
    }
  }
  delete[] nodes_;
}

void Watcher::let_all_go(Scheduler& loop) noexcept {
  while (!loop.watchers.alone())
    static_cast<Watcher&>(*loop.watchers.next).let_go();
}

void Watcher::watch(const std::vector<FutureBase*>& children) {
  // Of those that are done the callbacks are queued at once. Should their loop be closed, that is to
  // be found out as long as nobody else's are.
  for (const FutureBase* child : children)
    if (child->done()) child->scheduler().check_usable();
  expect(children.size());
  for (FutureBase* child : children) watch(*child);
}

void Watcher::expect(std::size_t count) { nodes_ = new Node[count]; }

void Watcher::watch(FutureBase& child) {
  Node& node = nodes_[count_++];
  node.watcher = this;
  node.child = Ref<FutureBase>(&child);
  child.add_callback(node, true);
}

void Watcher::unwatch() noexcept {
  for (std::size_t i = 0; i != count_; ++i) {
    Node& node = nodes_[i];
    if (!node.child || node.child->done()) continue;
    const Ref<FutureBase> child = std::move(node.child);
    child->remove_callback(node);
  }
}

bool Watcher::stays(const ReadyNode* own) noexcept {
  if (self_.done() || self_.scheduler().closing()) return false;
  orphaned_ = true;
  self_.remove_callbacks([&](ReadyNode& node) {
    orphaned_ &= &node == own;  // a remnant is one, too: it waits for its turn
    return false;
  });
  self_.add_ref();
  link_before(self_.scheduler().watchers);
  return kept_ = true;
}

void Watcher::let_go() noexcept {
  if (!std::exchange(kept_, false)) return;
  unlink();
  self_.release();
}

void Watcher::Node::completed_by(FutureBase&) noexcept {
  queued = true;
  watcher->self_.add_ref();
}

void Watcher::Node::run() {
  const Ref<FutureBase> entry(adopt_ref, &watcher->self_);
  try {
    watcher->child_done(std::move(child));
  } catch (...) {
    std::exception_ptr error = caught_error();
    if (!watcher->self_.done()) watcher->self_.set_exception(std::move(error));
  }
  if (watcher->self_.done()) watcher->let_go();
}

void Watcher::Node::drop() noexcept {
  if (queued) watcher->self_.release();
}

}  // namespace asyncio::inline v1::detail
