// SPDX-License-Identifier: BSL-1.0
//
// The exception classes of Python that asyncio raises, and the questions one asks of a
// std::exception_ptr.
//
// There are two roots, as in Python. BaseException (CancelledError, GeneratorExit,
// KeyboardInterrupt, SystemExit, BaseExceptionGroup) does not derive from std::exception, so
// `catch (const std::exception&)` never swallows a cancellation; a `catch (...)` must rethrow it.
// Everything else derives from std::exception: Exception and its family, and OSError, which is a
// boost::system::system_error. Python's `except Exception` is "anything but BaseException" here:
// use is_exception() or isinstance<Exception>(), which count OSError and foreign C++ exceptions in.
//
// Copying any of these objects never throws. The objects have no locks: set_cause() belongs to the
// thread that is about to throw.
#pragma once

#include <cerrno>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <boost/system/system_error.hpp>

namespace asyncio::inline v1 {

namespace detail {

// Python's __cause__: what `raise X from Y` leaves in X. Part of every exception class here.
class Cause {
 public:
  const std::exception_ptr& cause() const noexcept { return cause_; }
  void set_cause(std::exception_ptr cause) noexcept { cause_ = std::move(cause); }

 protected:
  Cause() = default;
  Cause(const Cause&) = default;
  Cause& operator=(const Cause&) = default;
  ~Cause() = default;

 private:
  std::exception_ptr cause_;
};

// The unqualified name of a C++ class, which for the classes here is Python's. The text lives for
// ever. Thread-safe.
const char* class_name(const std::type_info& type) noexcept;
/// The whole name of a type: "Service::start()::{lambda()#1}".
std::string demangled(const std::type_info& type);

// What a group holds. Shared between copies and never changed.
class GroupData {
 public:
  const std::string& message() const noexcept { return content_->message; }
  const std::vector<std::exception_ptr>& exceptions() const noexcept {
    return content_->exceptions;
  }

 protected:
  using Matches = bool (*)(const std::exception_ptr&);
  using Split = std::pair<std::exception_ptr, std::exception_ptr>;

  GroupData(std::string message, std::vector<std::exception_ptr> exceptions);
  GroupData(const GroupData&) = default;
  GroupData& operator=(const GroupData&) = default;
  ~GroupData() = default;

  // `cause` goes to the parts, as Python's does.
  Split split_members(Matches matches, const std::exception_ptr& cause) const;

 private:
  static Split split_one(const std::exception_ptr& error, Matches matches);

  struct Content {
    std::string message;
    std::vector<std::exception_ptr> exceptions;
  };
  std::shared_ptr<const Content> content_;
};

}  // namespace detail

// ---- outside Exception ------------------------------------------------------------------------

// Python's BaseException without its Exception branch.
class BaseException : public detail::Cause {
 public:
  BaseException() = default;
  explicit BaseException(const std::string& message);
  BaseException(const BaseException&) = default;
  BaseException& operator=(const BaseException&) = default;
  virtual ~BaseException();

  virtual const char* what() const noexcept;
  // CancelledError() and CancelledError("") differ, as their args do in Python.
  bool has_message() const noexcept { return message_ != nullptr; }
  // The Python class name; the class's own unqualified name for a class of the user's.
  virtual const char* type_name() const noexcept;

 private:
  std::shared_ptr<const std::string> message_;
};

class CancelledError : public BaseException {
 public:
  using BaseException::BaseException;
};

// What aclose() throws into an asynchronous generator, to end it.
class GeneratorExit : public BaseException {
 public:
  using BaseException::BaseException;
};

class KeyboardInterrupt : public BaseException {
 public:
  using BaseException::BaseException;
};

// asyncio::run() and the loop pass it through; what the process does with the code is the caller's.
class SystemExit : public BaseException {
 public:
  SystemExit() = default;
  explicit SystemExit(int code) : BaseException(std::to_string(code)), code_(code) {}
  int code() const noexcept { return code_; }

 private:
  int code_ = 0;
};

// ---- Exception --------------------------------------------------------------------------------

class Exception : public std::exception, public detail::Cause {
 public:
  Exception() = default;
  explicit Exception(const std::string& message);
  Exception(const Exception&) = default;
  Exception& operator=(const Exception&) = default;
  ~Exception() override;

  const char* what() const noexcept override;
  bool has_message() const noexcept { return message_ != nullptr; }
  virtual const char* type_name() const noexcept;

 private:
  std::shared_ptr<const std::string> message_;
};

class RuntimeError : public Exception {
 public:
  using Exception::Exception;
};

class NotImplementedError : public RuntimeError {
 public:
  using RuntimeError::RuntimeError;
};

class ValueError : public Exception {
 public:
  using Exception::Exception;
};

class TypeError : public Exception {
 public:
  using Exception::Exception;
};

class LookupError : public Exception {
 public:
  using Exception::Exception;
};

class KeyError : public LookupError {
 public:
  using LookupError::LookupError;
};

class AssertionError : public Exception {
 public:
  using Exception::Exception;
};

class EOFError : public Exception {
 public:
  using Exception::Exception;
};

class InvalidStateError : public Exception {
 public:
  using Exception::Exception;
};

class QueueEmpty : public Exception {
 public:
  using Exception::Exception;
};

class QueueFull : public Exception {
 public:
  using Exception::Exception;
};

class QueueShutDown : public Exception {
 public:
  using Exception::Exception;
};

class BrokenBarrierError : public RuntimeError {
 public:
  using RuntimeError::RuntimeError;
};

class SendfileNotAvailableError : public RuntimeError {
 public:
  using RuntimeError::RuntimeError;
};

// The stream ended before the bytes asked for arrived.
class IncompleteReadError : public EOFError {
 public:
  // `expected` is empty when no number was asked for (readuntil).
  IncompleteReadError(std::string partial, std::optional<std::size_t> expected);

  const std::string& partial() const noexcept { return *partial_; }  // bytes read before the end
  std::optional<std::size_t> expected() const noexcept { return expected_; }

 private:
  std::shared_ptr<const std::string> partial_;
  std::optional<std::size_t> expected_;
};

// The separator was not found within the reader's limit.
class LimitOverrunError : public Exception {
 public:
  LimitOverrunError(const std::string& message, std::size_t consumed)
      : Exception(message), consumed_(consumed) {}

  std::size_t consumed() const noexcept { return consumed_; }  // bytes that can be skipped

 private:
  std::size_t consumed_;
};

// ---- OSError ----------------------------------------------------------------------------------

// A failed system call, or a failure reported in the same terms.
//
// what() is Python's str(): "[Errno 111] Connection refused", or the text alone when there is no
// errno. code() speaks to Asio programs: the error_code the failure came from, or, for a class that
// stands for one errno (ConnectionResetError, TimeoutError, ...), that errno even when only a text
// was given.
class OSError : public boost::system::system_error, public detail::Cause {
 public:
  explicit OSError(const std::string& text = {});
  OSError(int errno_value, const std::string& text);
  // The text is the category's message; an errno only from the system and generic categories.
  explicit OSError(const boost::system::error_code& code, const std::string& text = {});
  OSError(const OSError&) = default;
  OSError& operator=(const OSError&) = default;
  ~OSError() override;

  const char* what() const noexcept override;
  virtual const char* type_name() const noexcept;
  int errno_value() const noexcept { return errno_value_; }  // 0 when there is none
  const std::string& strerror() const noexcept { return text_->strerror; }

 protected:
  OSError(const boost::system::error_code& code, int errno_value, const std::string& text);

 private:
  struct Text {
    std::string strerror;
    std::string what;
  };
  std::shared_ptr<const Text> text_;
  int errno_value_ = 0;
};

namespace detail {

// The constructors of a class that stands for one errno.
template <class Base, int usual_errno>
class OSErrorFor : public Base {
 public:
  explicit OSErrorFor(const std::string& text = {})
      : Base(boost::system::error_code(usual_errno, boost::system::system_category()), 0, text) {}
  OSErrorFor(int errno_value, const std::string& text) : Base(errno_value, text) {}
};

}  // namespace detail

class ConnectionError : public OSError {
 public:
  using OSError::OSError;
};

class ConnectionResetError : public detail::OSErrorFor<ConnectionError, ECONNRESET> {
 public:
  using OSErrorFor::OSErrorFor;
};

class ConnectionAbortedError : public detail::OSErrorFor<ConnectionError, ECONNABORTED> {
 public:
  using OSErrorFor::OSErrorFor;
};

class ConnectionRefusedError : public detail::OSErrorFor<ConnectionError, ECONNREFUSED> {
 public:
  using OSErrorFor::OSErrorFor;
};

class BrokenPipeError : public detail::OSErrorFor<ConnectionError, EPIPE> {
 public:
  using OSErrorFor::OSErrorFor;
};

class FileNotFoundError : public detail::OSErrorFor<OSError, ENOENT> {
 public:
  using OSErrorFor::OSErrorFor;
};

class FileExistsError : public detail::OSErrorFor<OSError, EEXIST> {
 public:
  using OSErrorFor::OSErrorFor;
};

class PermissionError : public detail::OSErrorFor<OSError, EACCES> {
 public:
  using OSErrorFor::OSErrorFor;
};

class ProcessLookupError : public detail::OSErrorFor<OSError, ESRCH> {
 public:
  using OSErrorFor::OSErrorFor;
};

class ChildProcessError : public detail::OSErrorFor<OSError, ECHILD> {
 public:
  using OSErrorFor::OSErrorFor;
};

class InterruptedError : public detail::OSErrorFor<OSError, EINTR> {
 public:
  using OSErrorFor::OSErrorFor;
};

class BlockingIOError : public detail::OSErrorFor<OSError, EAGAIN> {
 public:
  using OSErrorFor::OSErrorFor;
};

class IsADirectoryError : public detail::OSErrorFor<OSError, EISDIR> {
 public:
  using OSErrorFor::OSErrorFor;
};

class NotADirectoryError : public detail::OSErrorFor<OSError, ENOTDIR> {
 public:
  using OSErrorFor::OSErrorFor;
};

class TimeoutError : public detail::OSErrorFor<OSError, ETIMEDOUT> {
 public:
  using OSErrorFor::OSErrorFor;
};

// Python's socket.gaierror: name resolution failed. errno_value() is the EAI_* number; code() is
// what Asio's own resolver would have reported.
class gaierror : public OSError {
 public:
  gaierror(int code, const std::string& text);
};

// The class Python would raise for this errno. Without a text, the system's own.
std::exception_ptr make_os_error(int errno_value, const std::string& text = {});
// The same for what Asio reports: system and generic codes by errno, resolver codes as gaierror,
// codes of any other category as a plain OSError that keeps the code.
std::exception_ptr make_os_error(const boost::system::error_code& code,
                                 const std::string& text = {});
// An enumerator of an error (asio::error::eof) would pass for an errno: make an error_code of it.
template <class Enum>
  requires std::is_enum_v<Enum>
std::exception_ptr make_os_error(Enum, const std::string& = {}) = delete;
[[noreturn]] void throw_os_error(int errno_value, const std::string& text = {});
[[noreturn]] void throw_os_error(const boost::system::error_code& code,
                                 const std::string& text = {});
template <class Enum>
  requires std::is_enum_v<Enum>
void throw_os_error(Enum, const std::string& = {}) = delete;

// ---- questions about an exception_ptr ---------------------------------------------------------
//
// All of them look at the exception without throwing it. A null pointer is Python's None.

namespace detail {
// The exception as the class `wanted`, which a catch clause for it would see; null if it would not.
const void* find_exception(const std::exception_ptr& error, const std::type_info& wanted) noexcept;
}  // namespace detail

// The exception inside as E, or null when `catch (const E&)` would not catch it. The result lives
// as long as some exception_ptr to it.
template <class E>
const E* exception_cast(const std::exception_ptr& error) noexcept {
#ifdef __GLIBCXX__
  return static_cast<const E*>(detail::find_exception(error, typeid(E)));
#else
  try {
    if (error) std::rethrow_exception(error);
  } catch (const E& found) {
    return &found;
  } catch (...) {
  }
  return nullptr;
#endif
}

// Would Python's `except Exception` catch it? True for everything thrown that is not a
// BaseException here, so also for foreign C++ exceptions and for thrown ints.
bool is_exception(const std::exception_ptr& error) noexcept;
bool is_cancelled_error(const std::exception_ptr& error) noexcept;
// SystemExit or KeyboardInterrupt, which leave the loop at once (rule 13).
bool is_base_exit(const std::exception_ptr& error) noexcept;
namespace detail {
/// Inside a catch clause: what was caught; a SystemExit or KeyboardInterrupt goes on instead.
std::exception_ptr caught_error();
}  // namespace detail

namespace detail {
template <class E>
bool is_a(const std::exception_ptr& error) noexcept {
  return exception_cast<E>(error) != nullptr;
}
template <>
inline bool is_a<Exception>(const std::exception_ptr& error) noexcept {
  return is_exception(error);
}
}  // namespace detail

// Is it one of these classes? isinstance<Exception> is is_exception(), as in Python.
template <class... E>
bool isinstance(const std::exception_ptr& error) noexcept {
  return (detail::is_a<E>(error) || ...);
}

// Python's type(e).__name__; for foreign C++ types the unqualified type name.
std::string type_name(const std::exception_ptr& error);
// Python's str(e).
std::string to_string(const std::exception_ptr& error);
// Python's repr(e): ValueError('text'), CancelledError(), OSError(9, 'Bad file descriptor').
std::string repr(const std::exception_ptr& error);

// Python's e.__cause__; null also for a foreign exception.
std::exception_ptr cause(const std::exception_ptr& error) noexcept;
// Python's `raise error from cause`: throw with_cause(TimeoutError(), std::current_exception());
template <class E>
E with_cause(E error, std::exception_ptr cause) {
  error.set_cause(std::move(cause));
  return error;
}

// ---- groups -----------------------------------------------------------------------------------

// A group of which every member is an Exception. what() is "message (2 sub-exceptions)".
//
// split<E>() sorts the members, through nested groups, into those that are an E and the rest. Each
// half is a group of the same shape with the same message and cause, or null when empty; it is an
// ExceptionGroup if its members allow it. A group that is an E itself is matched whole; one of a
// derived class is one only inside the catch clause that it came to.
// split<E, F>() matches either. subgroup<E>() is the first half.
class ExceptionGroup : public Exception, public detail::GroupData {
 public:
  // ValueError: no exceptions, or a null one. TypeError: one of them is a BaseException.
  ExceptionGroup(std::string message, std::vector<std::exception_ptr> exceptions);

  template <class... E>
  std::pair<std::exception_ptr, std::exception_ptr> split() const {
    return split_if(&isinstance<E...>);
  }
  template <class... E>
  std::exception_ptr subgroup() const {
    return split<E...>().first;
  }

 private:
  Split split_if(Matches matches) const;
};

// The same with any members. It is no Exception: use make_exception_group() for Python's rule that
// a group of Exceptions only is one.
class BaseExceptionGroup : public BaseException, public detail::GroupData {
 public:
  // ValueError: no exceptions, or a null one.
  BaseExceptionGroup(std::string message, std::vector<std::exception_ptr> exceptions);

  template <class... E>
  std::pair<std::exception_ptr, std::exception_ptr> split() const {
    return split_if(&isinstance<E...>);
  }
  template <class... E>
  std::exception_ptr subgroup() const {
    return split<E...>().first;
  }

 private:
  Split split_if(Matches matches) const;
};

// Python's BaseExceptionGroup(message, exceptions): an ExceptionGroup if all members are
// Exceptions, else a BaseExceptionGroup. ValueError: no exceptions, or a null one.
std::exception_ptr make_exception_group(std::string message,
                                        std::vector<std::exception_ptr> exceptions);

}  // namespace asyncio::inline v1
