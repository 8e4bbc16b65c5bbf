// SPDX-License-Identifier: BSL-1.0
//
// The exception classes, errno to class, groups, and questions about an exception_ptr.
#include <asyncio/exceptions.hpp>

#include <stdexcept>
#include <string>
#include <vector>

#include <netdb.h>

#include <boost/asio/error.hpp>
#include <boost/test/unit_test.hpp>

namespace {

using namespace asyncio;

template <class E>
std::exception_ptr ptr(E error) {
  return std::make_exception_ptr(std::move(error));
}

template <class E>
bool names(const std::exception_ptr& error, const std::string& name) {
  return isinstance<E>(error) && type_name(error) == name;
}

struct ForeignError : std::runtime_error {
  using runtime_error::runtime_error;
};

struct UserError : ValueError {
  using ValueError::ValueError;
};

template <class T>
struct TemplateError : ValueError {};

const ExceptionGroup& group(const std::exception_ptr& error) {
  const auto* found = exception_cast<ExceptionGroup>(error);
  BOOST_REQUIRE(found);
  return *found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(exceptions_tests)

BOOST_AUTO_TEST_CASE(xc1_cancelled_error_is_no_std_exception) {
  static_assert(!std::is_base_of_v<std::exception, BaseException>);
  static_assert(std::is_base_of_v<BaseException, CancelledError>);
  bool let_through = false;
  try {
    try {
      throw CancelledError();
    } catch (const std::exception&) {
    }
  } catch (const BaseException&) {
    let_through = true;
  }
  BOOST_TEST(let_through);
}

BOOST_AUTO_TEST_CASE(xc1_cancelled_error_without_message_differs_from_an_empty_one) {
  BOOST_TEST(!CancelledError().has_message());
  BOOST_TEST(CancelledError("").has_message());
  BOOST_TEST(CancelledError().what() == std::string());
  BOOST_TEST(CancelledError("why").what() == std::string("why"));
  BOOST_TEST(repr(ptr(CancelledError())) == "CancelledError()");
  BOOST_TEST(repr(ptr(CancelledError(""))) == "CancelledError('')");
}

BOOST_AUTO_TEST_CASE(copying_never_throws) {
  static_assert(std::is_nothrow_copy_constructible_v<CancelledError>);
  static_assert(std::is_nothrow_copy_constructible_v<ValueError>);
  static_assert(std::is_nothrow_copy_constructible_v<IncompleteReadError>);
  static_assert(std::is_nothrow_copy_constructible_v<ConnectionResetError>);
  static_assert(std::is_nothrow_copy_constructible_v<ExceptionGroup>);
  static_assert(std::is_nothrow_copy_constructible_v<BaseExceptionGroup>);
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_CASE(type_names_are_pythons) {
  BOOST_TEST(CancelledError().type_name() == std::string("CancelledError"));
  BOOST_TEST(QueueShutDown().type_name() == std::string("QueueShutDown"));
  BOOST_TEST(TimeoutError().type_name() == std::string("TimeoutError"));
  BOOST_TEST(gaierror(EAI_NONAME, "").type_name() == std::string("gaierror"));
}

BOOST_AUTO_TEST_CASE(type_name_of_users_and_foreign_classes_is_unqualified) {
  BOOST_TEST(type_name(ptr(UserError("x"))) == "UserError");
  BOOST_TEST(type_name(ptr(ForeignError("x"))) == "ForeignError");
  BOOST_TEST(type_name(ptr(TemplateError<std::string>())).starts_with("TemplateError<std::"));
  BOOST_TEST(type_name(ptr(7)) == "int");
  BOOST_TEST(type_name(nullptr) == "NoneType");
}

BOOST_AUTO_TEST_CASE(system_exit_carries_its_code) {
  BOOST_TEST(SystemExit(3).code() == 3);
  BOOST_TEST(SystemExit().code() == 0);
  BOOST_TEST(repr(ptr(SystemExit(3))) == "SystemExit(3)");
}

BOOST_AUTO_TEST_CASE(xc4_incomplete_read_error_says_what_it_has) {
  const IncompleteReadError counted("abc", 10);
  BOOST_TEST(counted.what() == std::string("3 bytes read on a total of 10 expected bytes"));
  BOOST_TEST(counted.partial() == "abc");
  BOOST_TEST(counted.expected().value() == 10u);
  const IncompleteReadError open("", std::nullopt);
  BOOST_TEST(open.what() == std::string("0 bytes read on a total of undefined expected bytes"));
  BOOST_TEST(isinstance<EOFError>(ptr(open)));
}

BOOST_AUTO_TEST_CASE(xc5_limit_overrun_error_says_what_can_be_skipped) {
  const LimitOverrunError error("Separator is not found, and chunk exceed the limit", 12);
  BOOST_TEST(error.consumed() == 12u);
  BOOST_TEST(repr(ptr(error)) ==
             "LimitOverrunError('Separator is not found, and chunk exceed the limit')");
}

BOOST_AUTO_TEST_CASE(xc6_xc7_xc10_python_hierarchy) {
  BOOST_TEST(isinstance<RuntimeError>(ptr(NotImplementedError())));
  BOOST_TEST(isinstance<RuntimeError>(ptr(BrokenBarrierError())));
  BOOST_TEST(isinstance<RuntimeError>(ptr(SendfileNotAvailableError())));
  BOOST_TEST(isinstance<OSError>(ptr(TimeoutError())));
  BOOST_TEST(isinstance<ConnectionError>(ptr(BrokenPipeError())));
  BOOST_TEST(!isinstance<ConnectionError>(ptr(TimeoutError())));
}

BOOST_AUTO_TEST_CASE(os_error_prints_as_in_python) {
  const OSError error(9, "Bad file descriptor");
  BOOST_TEST(error.what() == std::string("[Errno 9] Bad file descriptor"));
  BOOST_TEST(error.errno_value() == 9);
  BOOST_TEST(error.strerror() == "Bad file descriptor");
  BOOST_TEST(repr(ptr(error)) == "OSError(9, 'Bad file descriptor')");
  BOOST_TEST((error.code() == boost::system::errc::bad_file_descriptor));
}

BOOST_AUTO_TEST_CASE(os_error_with_only_a_text_has_no_errno) {
  const OSError error("Multiple exceptions: a, b");
  BOOST_TEST(error.what() == std::string("Multiple exceptions: a, b"));
  BOOST_TEST(error.errno_value() == 0);
  BOOST_TEST(repr(ptr(error)) == "OSError('Multiple exceptions: a, b')");
}

BOOST_AUTO_TEST_CASE(xc3_timeout_error_without_text_is_empty_and_still_says_timed_out_to_asio) {
  const TimeoutError error;
  BOOST_TEST(error.what() == std::string());
  BOOST_TEST(error.errno_value() == 0);
  BOOST_TEST(repr(ptr(error)) == "TimeoutError()");
  BOOST_TEST((error.code() == boost::system::errc::timed_out));
}

BOOST_AUTO_TEST_CASE(class_for_one_errno_says_it_to_asio_when_only_a_text_is_given) {
  const ConnectionResetError error("Connection lost");
  BOOST_TEST(error.what() == std::string("Connection lost"));
  BOOST_TEST((error.code() == boost::asio::error::connection_reset));
}

BOOST_AUTO_TEST_CASE(os_error_is_caught_as_system_error_and_as_std_exception) {
  int caught = 0;
  try {
    throw_os_error(ECONNRESET);
  } catch (const boost::system::system_error& error) {
    caught += error.code().value() == ECONNRESET;
  }
  try {
    throw_os_error(ECONNRESET);
  } catch (const std::exception& error) {
    caught += error.what() == std::string("[Errno 104] Connection reset by peer");
  }
  BOOST_TEST(caught == 2);
}

BOOST_AUTO_TEST_CASE(xc10_errno_chooses_the_class) {
  BOOST_TEST(names<ConnectionError>(make_os_error(ECONNRESET), "ConnectionResetError"));
  BOOST_TEST(names<ConnectionError>(make_os_error(ECONNABORTED), "ConnectionAbortedError"));
  BOOST_TEST(names<ConnectionError>(make_os_error(ECONNREFUSED), "ConnectionRefusedError"));
  BOOST_TEST(names<ConnectionError>(make_os_error(EPIPE), "BrokenPipeError"));
  BOOST_TEST(names<ConnectionError>(make_os_error(ESHUTDOWN), "BrokenPipeError"));
  BOOST_TEST(names<OSError>(make_os_error(ENOENT), "FileNotFoundError"));
  BOOST_TEST(names<OSError>(make_os_error(EEXIST), "FileExistsError"));
  BOOST_TEST(names<OSError>(make_os_error(EACCES), "PermissionError"));
  BOOST_TEST(names<OSError>(make_os_error(EPERM), "PermissionError"));
  BOOST_TEST(names<OSError>(make_os_error(ESRCH), "ProcessLookupError"));
  BOOST_TEST(names<OSError>(make_os_error(ECHILD), "ChildProcessError"));
  BOOST_TEST(names<OSError>(make_os_error(EINTR), "InterruptedError"));
  BOOST_TEST(names<OSError>(make_os_error(EWOULDBLOCK), "BlockingIOError"));
  BOOST_TEST(names<OSError>(make_os_error(EALREADY), "BlockingIOError"));
  BOOST_TEST(names<OSError>(make_os_error(EINPROGRESS), "BlockingIOError"));
  BOOST_TEST(names<OSError>(make_os_error(EISDIR), "IsADirectoryError"));
  BOOST_TEST(names<OSError>(make_os_error(ENOTDIR), "NotADirectoryError"));
  BOOST_TEST(names<OSError>(make_os_error(ETIMEDOUT), "TimeoutError"));
  BOOST_TEST(names<OSError>(make_os_error(EBADF), "OSError"));
}

BOOST_AUTO_TEST_CASE(make_os_error_takes_the_given_text_or_the_systems) {
  const auto given = make_os_error(ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)");
  BOOST_TEST(repr(given) ==
             "ConnectionRefusedError(111, \"Connect call failed ('127.0.0.1', 1)\")");
  BOOST_TEST(to_string(make_os_error(ENOENT)) == "[Errno 2] No such file or directory");
}

BOOST_AUTO_TEST_CASE(error_codes_of_asio_become_pythons_classes) {
  using boost::system::error_code;
  const error_code refused = boost::asio::error::connection_refused;
  BOOST_TEST(type_name(make_os_error(refused)) == "ConnectionRefusedError");

  const error_code unknown_host = boost::asio::error::host_not_found;
  const std::exception_ptr resolver = make_os_error(unknown_host);
  BOOST_TEST(repr(resolver) == "gaierror(-2, 'Name or service not known')");
  BOOST_TEST(to_string(resolver) == "[Errno -2] Name or service not known");
  BOOST_TEST((exception_cast<gaierror>(resolver)->code() == unknown_host));

  const error_code end = boost::asio::error::eof;
  const std::exception_ptr other = make_os_error(end);
  BOOST_TEST(repr(other) == "OSError('End of file')");
  BOOST_TEST((exception_cast<OSError>(other)->code() == end));
}

BOOST_AUTO_TEST_CASE(cause_survives_copying_and_throwing) {
  const std::exception_ptr first = ptr(CancelledError());
  const TimeoutError timeout = with_cause(TimeoutError(), first);
  BOOST_TEST((TimeoutError(timeout).cause() == first));
  BOOST_TEST((cause(ptr(timeout)) == first));
  BOOST_TEST((cause(ptr(with_cause(ValueError("x"), first))) == first));
  BOOST_TEST((cause(ptr(with_cause(CancelledError(), first))) == first));
  BOOST_TEST((cause(ptr(ForeignError("x"))) == nullptr));
  BOOST_TEST((cause(nullptr) == nullptr));
}

BOOST_AUTO_TEST_CASE(exception_is_everything_but_a_base_exception) {
  for (const auto& error : {ptr(ValueError("x")), ptr(TimeoutError()), ptr(ForeignError("x")),
                            ptr(7), ptr(ExceptionGroup("g", {ptr(7)}))}) {
    BOOST_TEST(is_exception(error));
    BOOST_TEST(isinstance<Exception>(error));
  }
  for (const auto& error : {ptr(CancelledError()), ptr(GeneratorExit()), ptr(KeyboardInterrupt()),
                            ptr(SystemExit()), ptr(BaseExceptionGroup("g", {ptr(7)}))}) {
    BOOST_TEST(!is_exception(error));
    BOOST_TEST(!isinstance<Exception>(error));
  }
  BOOST_TEST(!is_exception(nullptr));
}

BOOST_AUTO_TEST_CASE(cancelled_error_is_recognised_also_as_a_base) {
  struct Mine : CancelledError {};
  BOOST_TEST(is_cancelled_error(ptr(CancelledError("x"))));
  BOOST_TEST(is_cancelled_error(ptr(Mine())));
  BOOST_TEST(!is_cancelled_error(ptr(KeyboardInterrupt())));
  BOOST_TEST(!is_cancelled_error(ptr(7)));
  BOOST_TEST(!is_cancelled_error(nullptr));
}

BOOST_AUTO_TEST_CASE(rule_13_base_exits_are_keyboard_interrupt_and_system_exit) {
  BOOST_TEST(is_base_exit(ptr(KeyboardInterrupt())));
  BOOST_TEST(is_base_exit(ptr(SystemExit(1))));
  BOOST_TEST(!is_base_exit(ptr(CancelledError())));
  BOOST_TEST(!is_base_exit(ptr(ValueError())));
}

BOOST_AUTO_TEST_CASE(isinstance_sees_what_a_catch_clause_sees) {
  const std::exception_ptr thrown = [] {
    try {
      throw_os_error(EPIPE);
    } catch (...) {
      return std::current_exception();
    }
  }();
  BOOST_TEST(isinstance<std::exception>(thrown));
  BOOST_TEST(isinstance<std::runtime_error>(thrown));
  BOOST_TEST(isinstance<boost::system::system_error>(thrown));
  BOOST_TEST(isinstance<OSError>(thrown));
  BOOST_TEST((isinstance<ValueError, BrokenPipeError>(thrown)));
  BOOST_TEST((!isinstance<ValueError, ConnectionResetError>(thrown)));
  BOOST_TEST(exception_cast<OSError>(thrown)->errno_value() == EPIPE);
  BOOST_TEST(*exception_cast<int>(ptr(7)) == 7);
  BOOST_TEST(!exception_cast<OSError>(ptr(7)));
}

BOOST_AUTO_TEST_CASE(str_and_repr_of_exceptions) {
  BOOST_TEST(to_string(ptr(ValueError("it's"))) == "it's");
  BOOST_TEST(repr(ptr(ValueError("it's"))) == "ValueError(\"it's\")");
  BOOST_TEST(repr(ptr(ValueError())) == "ValueError()");
  BOOST_TEST(repr(ptr(KeyboardInterrupt())) == "KeyboardInterrupt()");
  BOOST_TEST(repr(ptr(ForeignError("x"))) == "ForeignError('x')");
  BOOST_TEST(repr(ptr(7)) == "int()");
  BOOST_TEST(to_string(ptr(7)) == "");
  BOOST_TEST(repr(std::exception_ptr()) == "None");
}

BOOST_AUTO_TEST_CASE(group_prints_its_count) {
  const ExceptionGroup one("alone", {ptr(ValueError("a"))});
  const BaseExceptionGroup two("many", {ptr(ValueError("a")), ptr(CancelledError())});
  BOOST_TEST(one.what() == std::string("alone (1 sub-exception)"));
  BOOST_TEST(two.what() == std::string("many (2 sub-exceptions)"));
  BOOST_TEST(one.message() == "alone");
  BOOST_TEST(repr(ptr(two)) == "BaseExceptionGroup('many', [ValueError('a'), CancelledError()])");
}

BOOST_AUTO_TEST_CASE(group_refuses_nothing_and_none) {
  const std::string empty = "second argument (exceptions) must be a non-empty sequence";
  const std::string none = "Item 1 of second argument (exceptions) is not an exception";
  BOOST_CHECK_EXCEPTION(ExceptionGroup("g", {}), ValueError,
                        [&](const ValueError& e) { return e.what() == empty; });
  BOOST_CHECK_EXCEPTION(make_exception_group("g", {}), ValueError,
                        [&](const ValueError& e) { return e.what() == empty; });
  BOOST_CHECK_EXCEPTION(BaseExceptionGroup("g", {ptr(7), nullptr}), ValueError,
                        [&](const ValueError& e) { return e.what() == none; });
}

BOOST_AUTO_TEST_CASE(exception_group_refuses_a_base_exception) {
  BOOST_CHECK_EXCEPTION(
      ExceptionGroup("g", {ptr(CancelledError())}), TypeError, [](const TypeError& e) {
        return e.what() == std::string("Cannot nest BaseExceptions in an ExceptionGroup");
      });
}

BOOST_AUTO_TEST_CASE(content_chooses_the_class_of_a_group) {
  BOOST_TEST(isinstance<ExceptionGroup>(make_exception_group("g", {ptr(ValueError()), ptr(7)})));
  BOOST_TEST(isinstance<BaseExceptionGroup>(
      make_exception_group("g", {ptr(ValueError()), ptr(KeyboardInterrupt())})));
}

BOOST_AUTO_TEST_CASE(split_parts_a_group_and_keeps_order_message_and_cause) {
  const std::exception_ptr a = ptr(ValueError("a"));
  const std::exception_ptr b = ptr(TypeError("b"));
  const std::exception_ptr c = ptr(ValueError("c"));
  const std::exception_ptr why = ptr(TimeoutError());
  const auto whole = with_cause(ExceptionGroup("g", {a, b, c}), why);
  const auto [matched, rest] = whole.split<ValueError>();
  BOOST_TEST((group(matched).exceptions() == std::vector{a, c}));
  BOOST_TEST((group(rest).exceptions() == std::vector{b}));
  BOOST_TEST(group(matched).message() == "g");
  BOOST_TEST((group(matched).cause() == why));
  BOOST_TEST((group(rest).cause() == why));
}

BOOST_AUTO_TEST_CASE(split_gives_null_for_an_empty_half) {
  const ExceptionGroup whole("g", {ptr(ValueError("a"))});
  BOOST_TEST((whole.split<TypeError>().first == nullptr));
  BOOST_TEST((whole.split<TypeError>().second != nullptr));
  BOOST_TEST((whole.split<ValueError>().second == nullptr));
  BOOST_TEST((whole.subgroup<TypeError>() == nullptr));
  BOOST_TEST((whole.subgroup<TypeError, ValueError>() != nullptr));
}

BOOST_AUTO_TEST_CASE(split_keeps_the_shape_of_nested_groups) {
  const ExceptionGroup whole(
      "outer", {ptr(ValueError("1")),
                ptr(ExceptionGroup("inner", {ptr(ValueError("2")), ptr(OSError("3"))})),
                ptr(ExceptionGroup("other", {ptr(OSError("4"))}))});
  const auto [matched, rest] = whole.split<ValueError>();
  BOOST_TEST(repr(matched) ==
             "ExceptionGroup('outer', [ValueError('1'), "
             "ExceptionGroup('inner', [ValueError('2')])])");
  BOOST_TEST(repr(rest) ==
             "ExceptionGroup('outer', [ExceptionGroup('inner', [OSError('3')]), "
             "ExceptionGroup('other', [OSError('4')])])");
}

BOOST_AUTO_TEST_CASE(split_of_a_base_group_gives_an_exception_group_where_it_can) {
  const BaseExceptionGroup whole("g", {ptr(ValueError("a")), ptr(CancelledError())});
  const auto [matched, rest] = whole.split<CancelledError>();
  BOOST_TEST(repr(matched) == "BaseExceptionGroup('g', [CancelledError()])");
  BOOST_TEST(repr(rest) == "ExceptionGroup('g', [ValueError('a')])");
}

BOOST_AUTO_TEST_CASE(split_matches_a_group_itself_whole) {
  const ExceptionGroup whole("g", {ptr(ValueError("a")), ptr(OSError("b"))});
  BOOST_TEST(repr(whole.subgroup<ExceptionGroup>()) == repr(ptr(whole)));
  BOOST_TEST((whole.split<Exception>().second == nullptr));
}

BOOST_AUTO_TEST_CASE(exception_stands_for_all_errors_beside_other_classes_too) {
  BOOST_TEST((isinstance<Exception, CancelledError>(std::make_exception_ptr(TimeoutError()))));
  BOOST_TEST((isinstance<CancelledError, Exception>(std::make_exception_ptr(std::bad_alloc()))));
  BOOST_TEST((!isinstance<Exception, CancelledError>(std::make_exception_ptr(SystemExit(1)))));
  const ExceptionGroup whole("g", {std::make_exception_ptr(TimeoutError())});
  BOOST_TEST((whole.split<Exception, KeyboardInterrupt>().second == nullptr));
}

BOOST_AUTO_TEST_CASE(split_knows_a_derived_group_where_it_is_caught) {
  struct BatchError : ExceptionGroup {
    using ExceptionGroup::ExceptionGroup;
  };
  try {
    throw BatchError("batch", {std::make_exception_ptr(ValueError("x"))});
  } catch (const ExceptionGroup& group) {
    const auto [matched, rest] = group.split<BatchError>();
    BOOST_TEST((exception_cast<BatchError>(matched) == &group));
    BOOST_TEST((rest == nullptr));
    BOOST_TEST((exception_cast<BatchError>(group.split<ExceptionGroup>().first) == &group));
  }
}

BOOST_AUTO_TEST_SUITE_END()
