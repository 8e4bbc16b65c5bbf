# SPDX-License-Identifier: BSL-1.0
# Says which coroutine faults the compiler has. The library avoids all of them; coroutines written
# with it are compiled by the same compiler and must avoid them too, and no compiler warns.

function(asyncio_coroutine_advice lint)
  set(compiler "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    message(STATUS "asyncio: ${compiler} has no known coroutine faults")
  elseif(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    message(NOTICE "\
-- asyncio: ${compiler} miscompiles some coroutines, without a warning:
--   a lambda or aggregate that owns something, written inline in a statement with co_await, is
--   destroyed twice; && || ?: around co_await may run the side they must skip; a bare co_await
--   as a condition may crash. Remedy for your own coroutines: clang 19, or g++ 13 or newer (where
--   only the fault with && || ?: remains). With this compiler, find such statements by
--   python3 ${lint} PATH...")
  else()
    message(STATUS "asyncio: ${compiler} may run the side that && || ?: must skip when co_await is "
                   "below them; clang 19 does not. To find such statements: "
                   "python3 ${lint} PATH...")
  endif()
endfunction()
