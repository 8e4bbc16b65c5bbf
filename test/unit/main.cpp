// SPDX-License-Identifier: BSL-1.0
// The main program of all unit tests.

#define BOOST_TEST_MODULE asyncio
#define BOOST_TEST_NO_MAIN
#include <boost/test/unit_test.hpp>
#include <cstdlib>

int main(int argc, char* argv[]) {
  // Left to itself Boost.Test handles signals, and takes the SIGCHLD of a child that a test started
  // for a failure. Crashes are better left to the sanitizers and the core dump, too.
  ::setenv("BOOST_TEST_CATCH_SYSTEM_ERRORS", "no", 0);
  return boost::unit_test::unit_test_main(&init_unit_test, argc, argv);
}
