// SPDX-License-Identifier: BSL-1.0
//
// Texts of the exceptions, errno to class, groups, and looking into a std::exception_ptr.
#include <asyncio/exceptions.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>
#include <type_traits>
#include <typeindex>
#include <unordered_map>
#include <utility>

#include <cxxabi.h>
#include <netdb.h>

#include <boost/asio/error.hpp>

#include <asyncio/bytes.hpp>
#include <asyncio/detail/repr.hpp>

namespace asyncio::inline v1 {

// ---- the only place that knows how the compiler stores exceptions -----------------------------

namespace detail {

namespace {

#ifdef __GLIBCXX__

const std::type_info* thrown_type(const std::exception_ptr& error) noexcept {
  return error ? error.__cxa_exception_type() : nullptr;
}

#else

const std::type_info* thrown_type(const std::exception_ptr& error) noexcept {
  try {
    if (error) std::rethrow_exception(error);
  } catch (...) {
    return abi::__cxa_current_exception_type();
  }
  return nullptr;
}

#endif

// "std::vector<a::b>::iterator" -> "iterator"; what is in brackets does not count.
std::string unqualified(std::string_view name) {
  std::size_t start = 0;
  int depth = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (c == '<' || c == '(' || c == '{') ++depth;
    if (c == '>' || c == ')' || c == '}') --depth;
    if (depth == 0 && c == ':') start = i + 1;
  }
  return std::string(name.substr(start));
}

}  // namespace

std::string demangled(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  return name ? name.get() : type.name();
}

namespace {

/// UTF-8: inside a character, not at its beginning.
bool is_continuation(char byte) { return (byte & 0xC0) == 0x80; }

/// More than 30 characters.
bool is_long(std::string_view text) {
  return std::ranges::count_if(text, [](char byte) { return !is_continuation(byte); }) > 30;
}

/// The first 13 characters and the last 14, with `between`. There must be so many.
std::string ends_of(std::string_view text, std::string_view between) {
  std::size_t begin = 0;
  for (int i = 0; i != 13; ++i)
    do ++begin;
    while (is_continuation(text[begin]));
  std::size_t end = text.size();
  for (int i = 0; i != 14; ++i)
    do --end;
    while (is_continuation(text[end]));
  return std::string(text.substr(0, begin)).append(between).append(text.substr(end));
}

}  // namespace

std::string abbreviated(std::string_view text) {
  return is_long(text) ? ends_of(text, "...") : std::string(text);
}

std::string brief_repr_str(std::string_view text) {
  return is_long(text) ? ends_of(repr_str(ends_of(text, "")), "...") : abbreviated(repr_str(text));
}

void Elements::add(const std::string& repr) {
  if (count_++ != 0) text_ += ", ";
  text_ += repr;
}

void Elements::leave_out() {
  if (!std::exchange(more_, true)) text_ += ", ...";
}

std::string address_of(const void* object) {
  char text[24];
  std::snprintf(text, sizeof text, "%p", object);
  return text;
}

std::string object_repr(const std::type_info& type, const void* object) {
  return std::string("<") + class_name(type) + " object at " + address_of(object) + '>';
}

#ifdef __GLIBCXX__

// Asks the wanted type what a catch clause asks it. Throwing and catching would cost a thousand
// times as much.
const void* find_exception(const std::exception_ptr& error, const std::type_info& wanted) noexcept {
  const std::type_info* thrown = thrown_type(error);
  if (!thrown) return nullptr;
  // libstdc++'s exception_ptr is nothing but the address of the exception.
  static_assert(sizeof(std::exception_ptr) == sizeof(void*));
  void* object = nullptr;
  std::memcpy(&object, &error, sizeof object);
  if (*thrown == wanted) return object;
  const unsigned outermost = 1;
  return wanted.__do_catch(thrown, &object, outermost) ? object : nullptr;
}

#endif

const char* class_name(const std::type_info& type) noexcept {
  // Never destroyed: exceptions are printed until the very end.
  static std::mutex& mutex = *new std::mutex;
  static auto& names = *new std::unordered_map<std::type_index, std::string>;
  try {
    const std::lock_guard lock(mutex);
    std::string& name = names[type];
    if (name.empty()) name = unqualified(demangled(type));
    return name.c_str();
  } catch (...) {
    return "Exception";
  }
}

}  // namespace detail

// ---- messages ---------------------------------------------------------------------------------

BaseException::BaseException(const std::string& message)
    : message_(std::make_shared<const std::string>(message)) {}

BaseException::~BaseException() = default;

const char* BaseException::what() const noexcept { return message_ ? message_->c_str() : ""; }

const char* BaseException::type_name() const noexcept { return detail::class_name(typeid(*this)); }

Exception::Exception(const std::string& message)
    : message_(std::make_shared<const std::string>(message)) {}

Exception::~Exception() = default;

const char* Exception::what() const noexcept { return message_ ? message_->c_str() : ""; }

const char* Exception::type_name() const noexcept { return detail::class_name(typeid(*this)); }

namespace {

std::string incomplete_read_text(std::size_t read, std::optional<std::size_t> expected) {
  return std::to_string(read) + " bytes read on a total of " +
         (expected ? std::to_string(*expected) : "undefined") + " expected bytes";
}

}  // namespace

IncompleteReadError::IncompleteReadError(std::string partial, std::optional<std::size_t> expected)
    : EOFError(incomplete_read_text(partial.size(), expected)),
      partial_(std::make_shared<const std::string>(std::move(partial))),
      expected_(expected) {}

// ---- OSError ----------------------------------------------------------------------------------

namespace {

using boost::system::error_code;

error_code system_code(int errno_value) {
  return error_code(errno_value, boost::system::system_category());
}

int errno_of(const error_code& code) noexcept {
  const bool is_errno = code.category() == boost::system::system_category() ||
                        code.category() == boost::system::generic_category();
  return is_errno ? code.value() : 0;
}

// What Asio's resolver makes of an EAI_* number.
error_code resolver_code(int code) {
  switch (code) {
    case EAI_AGAIN:
      return boost::asio::error::host_not_found_try_again;
    case EAI_BADFLAGS:
      return boost::asio::error::invalid_argument;
    case EAI_FAMILY:
      return boost::asio::error::address_family_not_supported;
    case EAI_MEMORY:
      return boost::asio::error::no_memory;
    case EAI_NONAME:
      return boost::asio::error::host_not_found;
    case EAI_SERVICE:
      return boost::asio::error::service_not_found;
    case EAI_SOCKTYPE:
      return boost::asio::error::socket_type_not_supported;
    default:
      return boost::asio::error::no_recovery;
  }
}

// The way back, for the codes that only a resolver reports; 0 for all others.
int resolver_number(const error_code& code) {
  if (code == boost::asio::error::host_not_found) return EAI_NONAME;
  if (code == boost::asio::error::host_not_found_try_again) return EAI_AGAIN;
  if (code == boost::asio::error::no_data) return EAI_NONAME;
  if (code == boost::asio::error::no_recovery) return EAI_FAIL;
  if (code == boost::asio::error::service_not_found) return EAI_SERVICE;
  if (code == boost::asio::error::socket_type_not_supported) return EAI_SOCKTYPE;
  return 0;
}

std::string with_errno(int errno_value, const std::string& text) {
  return "[Errno " + std::to_string(errno_value) + "] " + text;
}

}  // namespace

OSError::OSError(const error_code& code, int errno_value, const std::string& text)
    : system_error(code),
      text_(std::make_shared<const Text>(
          Text{text, errno_value ? with_errno(errno_value, text) : text})),
      errno_value_(errno_value) {}

OSError::OSError(const std::string& text) : OSError(error_code(), 0, text) {}

OSError::OSError(int errno_value, const std::string& text)
    : OSError(system_code(errno_value), errno_value, text) {}

OSError::OSError(const error_code& code, const std::string& text)
    : OSError(code, errno_of(code), text.empty() ? code.message() : text) {}

OSError::~OSError() = default;

const char* OSError::what() const noexcept { return text_->what.c_str(); }

const char* OSError::type_name() const noexcept { return detail::class_name(typeid(*this)); }

gaierror::gaierror(int code, const std::string& text) : OSError(resolver_code(code), code, text) {}

std::exception_ptr make_os_error(int errno_value, const std::string& given_text) {
  const std::string text = given_text.empty() ? system_code(errno_value).message() : given_text;
  const auto make = [&]<class E>(std::type_identity<E>) {
    return std::make_exception_ptr(E(errno_value, text));
  };
  switch (errno_value) {
    case ECONNRESET:
      return make(std::type_identity<ConnectionResetError>());
    case ECONNABORTED:
      return make(std::type_identity<ConnectionAbortedError>());
    case ECONNREFUSED:
      return make(std::type_identity<ConnectionRefusedError>());
    case EPIPE:
    case ESHUTDOWN:
      return make(std::type_identity<BrokenPipeError>());
    case ENOENT:
      return make(std::type_identity<FileNotFoundError>());
    case EEXIST:
      return make(std::type_identity<FileExistsError>());
    case EACCES:
    case EPERM:
      return make(std::type_identity<PermissionError>());
    case ESRCH:
      return make(std::type_identity<ProcessLookupError>());
    case ECHILD:
      return make(std::type_identity<ChildProcessError>());
    case EINTR:
      return make(std::type_identity<InterruptedError>());
    case EAGAIN:  // the same number as EWOULDBLOCK wherever we run
    case EALREADY:
    case EINPROGRESS:
      return make(std::type_identity<BlockingIOError>());
    case EISDIR:
      return make(std::type_identity<IsADirectoryError>());
    case ENOTDIR:
      return make(std::type_identity<NotADirectoryError>());
    case ETIMEDOUT:
      return make(std::type_identity<TimeoutError>());
    default:
      return make(std::type_identity<OSError>());
  }
}

std::exception_ptr make_os_error(const error_code& code, const std::string& text) {
  if (const int number = resolver_number(code)) {
    return std::make_exception_ptr(gaierror(number, text.empty() ? gai_strerror(number) : text));
  }
  if (const int errno_value = errno_of(code)) return make_os_error(errno_value, text);
  return std::make_exception_ptr(OSError(code, text));
}

void throw_os_error(int errno_value, const std::string& text) {
  std::rethrow_exception(make_os_error(errno_value, text));
}

void throw_os_error(const error_code& code, const std::string& text) {
  std::rethrow_exception(make_os_error(code, text));
}

// ---- questions --------------------------------------------------------------------------------

bool is_exception(const std::exception_ptr& error) noexcept {
  return error && !exception_cast<BaseException>(error);
}

bool is_cancelled_error(const std::exception_ptr& error) noexcept {
  return exception_cast<CancelledError>(error) != nullptr;
}

bool is_base_exit(const std::exception_ptr& error) noexcept {
  return isinstance<SystemExit, KeyboardInterrupt>(error);
}

std::exception_ptr detail::caught_error() {
  std::exception_ptr error = std::current_exception();
  if (is_base_exit(error)) throw;
  return error;
}

std::string type_name(const std::exception_ptr& error) {
  if (!error) return "NoneType";
  if (const auto* e = exception_cast<BaseException>(error)) return e->type_name();
  if (const auto* e = exception_cast<Exception>(error)) return e->type_name();
  if (const auto* e = exception_cast<OSError>(error)) return e->type_name();
  const std::type_info* type = detail::thrown_type(error);
  return type ? detail::class_name(*type) : "Exception";
}

std::string to_string(const std::exception_ptr& error) {
  if (!error) return "None";
  if (const auto* e = exception_cast<BaseException>(error)) return e->what();
  if (const auto* e = exception_cast<std::exception>(error)) return e->what();
  return "";
}

namespace {

std::string repr_arguments(const std::exception_ptr& error) {
  if (const auto* group = exception_cast<detail::GroupData>(error)) {
    std::string members;
    for (const std::exception_ptr& member : group->exceptions()) {
      members += (members.empty() ? "" : ", ") + repr(member);
    }
    return repr_str(group->message()) + ", [" + members + "]";
  }
  if (const auto* e = exception_cast<OSError>(error)) {
    if (e->errno_value()) return std::to_string(e->errno_value()) + ", " + repr_str(e->strerror());
    return e->strerror().empty() ? "" : repr_str(e->strerror());
  }
  if (const auto* e = exception_cast<SystemExit>(error)) return e->what();
  if (const auto* e = exception_cast<BaseException>(error)) {
    return e->has_message() ? repr_str(e->what()) : "";
  }
  if (const auto* e = exception_cast<Exception>(error)) {
    return e->has_message() ? repr_str(e->what()) : "";
  }
  if (const auto* e = exception_cast<std::exception>(error)) return repr_str(e->what());
  return "";
}

}  // namespace

std::string repr(const std::exception_ptr& error) {
  if (!error) return "None";
  return type_name(error) + "(" + repr_arguments(error) + ")";
}

std::exception_ptr cause(const std::exception_ptr& error) noexcept {
  const auto* e = exception_cast<detail::Cause>(error);
  return e ? e->cause() : nullptr;
}

// ---- groups -----------------------------------------------------------------------------------

namespace {

std::string group_text(const std::string& message, std::size_t count) {
  return message + " (" + std::to_string(count) + " sub-exception" + (count == 1 ? "" : "s") + ")";
}

bool all_exceptions(const std::vector<std::exception_ptr>& errors) noexcept {
  for (const std::exception_ptr& error : errors) {
    if (exception_cast<BaseException>(error)) return false;
  }
  return true;
}

template <class Group>
std::exception_ptr make_group(std::string message, std::vector<std::exception_ptr> exceptions,
                              std::exception_ptr cause) {
  return std::make_exception_ptr(
      with_cause(Group(std::move(message), std::move(exceptions)), std::move(cause)));
}

std::exception_ptr make_group_by_content(std::string message,
                                         std::vector<std::exception_ptr> exceptions,
                                         std::exception_ptr cause) {
  const auto make =
      all_exceptions(exceptions) ? &make_group<ExceptionGroup> : &make_group<BaseExceptionGroup>;
  return make(std::move(message), std::move(exceptions), std::move(cause));
}

}  // namespace

namespace detail {

GroupData::GroupData(std::string message, std::vector<std::exception_ptr> exceptions) {
  if (exceptions.empty()) {
    throw ValueError("second argument (exceptions) must be a non-empty sequence");
  }
  for (std::size_t i = 0; i < exceptions.size(); ++i) {
    if (!exceptions[i]) {
      throw ValueError("Item " + std::to_string(i) +
                       " of second argument (exceptions) is not an exception");
    }
  }
  content_ = std::make_shared<const Content>(Content{std::move(message), std::move(exceptions)});
}

GroupData::Split GroupData::split_one(const std::exception_ptr& error, Matches matches) {
  if (matches(error)) return {error, nullptr};
  const auto* group = exception_cast<GroupData>(error);
  if (!group) return {nullptr, error};
  return group->split_members(matches, v1::cause(error));
}

GroupData::Split GroupData::split_members(Matches matches, const std::exception_ptr& cause) const {
  std::vector<std::exception_ptr> matched;
  std::vector<std::exception_ptr> rest;
  for (const std::exception_ptr& error : exceptions()) {
    Split parts = split_one(error, matches);
    if (parts.first) matched.push_back(std::move(parts.first));
    if (parts.second) rest.push_back(std::move(parts.second));
  }
  const auto regroup = [&](std::vector<std::exception_ptr> errors) -> std::exception_ptr {
    if (errors.empty()) return nullptr;
    return make_group_by_content(message(), std::move(errors), cause);
  };
  return {regroup(std::move(matched)), regroup(std::move(rest))};
}

}  // namespace detail

namespace {

/// The group as an exception: the very one that is being handled, or a copy.
template <class Group>
std::exception_ptr as_exception(const Group& group) {
  std::exception_ptr handled = std::current_exception();
  return exception_cast<Group>(handled) == &group ? handled : std::make_exception_ptr(group);
}

}  // namespace

ExceptionGroup::ExceptionGroup(std::string message, std::vector<std::exception_ptr> exceptions)
    : Exception(group_text(message, exceptions.size())),
      GroupData(std::move(message), std::move(exceptions)) {
  if (!all_exceptions(this->exceptions())) {
    throw TypeError("Cannot nest BaseExceptions in an ExceptionGroup");
  }
}

detail::GroupData::Split ExceptionGroup::split_if(Matches matches) const {
  const std::exception_ptr self = as_exception(*this);
  if (matches(self)) return {self, nullptr};
  return split_members(matches, cause());
}

BaseExceptionGroup::BaseExceptionGroup(std::string message,
                                       std::vector<std::exception_ptr> exceptions)
    : BaseException(group_text(message, exceptions.size())),
      GroupData(std::move(message), std::move(exceptions)) {}

detail::GroupData::Split BaseExceptionGroup::split_if(Matches matches) const {
  const std::exception_ptr self = as_exception(*this);
  if (matches(self)) return {self, nullptr};
  return split_members(matches, cause());
}

std::exception_ptr make_exception_group(std::string message,
                                        std::vector<std::exception_ptr> exceptions) {
  return make_group_by_content(std::move(message), std::move(exceptions), nullptr);
}

}  // namespace asyncio::inline v1
