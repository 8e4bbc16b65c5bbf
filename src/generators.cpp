// SPDX-License-Identifier: BSL-1.0
#include <asyncio/generators.hpp>

#include <string>

namespace asyncio::inline v1::detail {

void GeneratorAwaiter::throw_refused(Method method) {
  const Ref<GeneratorState> state = std::move(state_);
  if (!state) {
    throw RuntimeError(method == Method::next
                           ? "cannot reuse already awaited __anext__()/asend()"
                           : "cannot reuse already awaited aclose()/athrow()");
  }
  const char* const names[] = {"anext", "athrow", "aclose"};
  throw RuntimeError(std::string(names[static_cast<int>(method)]) +
                     "(): asynchronous generator is already running");
}

bool GeneratorAwaiter::throw_in(Method method, std::exception_ptr error) {
  GeneratorFrame* const frame = frame_to_run(method);
  if (!frame || frame->closed) return false;
  if (!frame->started) {
    const Ref<GeneratorState> state = std::move(state_);
    state->destroy_frame();
    std::rethrow_exception(std::move(error));
  }
  frame->closed = method == Method::aclose;
  frame->thrown = std::move(error);
  return true;
}

bool GeneratorClose::await_ready() {
  const GeneratorFrame* const frame = frame_to_run(Method::aclose);
  if (!frame || frame->closed) return true;
  if (!frame->started) {  // no need to throw anything
    state_->destroy_frame();
    return true;
  }
  return !throw_in(Method::aclose, std::make_exception_ptr(GeneratorExit()));
}

void GeneratorClose::await_resume() {
  const Ref<GeneratorState> state = std::move(state_);
  if (state->has_yielded()) throw RuntimeError("async generator ignored GeneratorExit");
  const std::exception_ptr error = state->end();
  if (error && !isinstance<GeneratorExit>(error)) std::rethrow_exception(error);
}

}  // namespace asyncio::inline v1::detail
