// SPDX-License-Identifier: BSL-1.0
// What the echo servers with a Protocol have in common.
#pragma once

#include <asyncio/asyncio.hpp>
#include <memory>
#include <utility>

class Echo : public asyncio::Protocol {
 public:
  void connection_made(std::shared_ptr<asyncio::Transport> transport) override {
    transport_ = std::move(transport);
  }
  void data_received(asyncio::BytesView data) override { transport_->write(data); }

 private:
  std::shared_ptr<asyncio::Transport> transport_;
};
