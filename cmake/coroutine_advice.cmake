# SPDX-License-Identifier: BSL-1.0
# Says which coroutine faults the compiler has. The library avoids all of them; coroutines written
# with it are compiled by the same compiler and must avoid them too, and no compiler warns.

function(asyncio_coroutine_advice lint)
  set(compiler "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
  set(find "To find such statements: python3 ${lint} PATH...")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    message(NOTICE "\
-- asyncio: ${compiler} miscompiles some coroutines, without a warning:
--   a lambda or aggregate that owns something, written inline in a statement with co_await, is
--   destroyed twice; && || ?: around co_await may run the side they must skip; a bare co_await
--   as a condition may crash. Remedy for your own coroutines: clang 19; g++ 13 and newer have
--   fewer of these faults. ${find}")
  elseif(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    message(STATUS "asyncio: ${compiler} miscompiles some coroutines, without a warning: && || ?: "
                   "around co_await may run the side they must skip, operands beside it may be "
                   "evaluated after it, and a co_await that throws inside braces destroys what "
                   "stands before it twice; clang 19 does not. ${find}")
  elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION
                                                    VERSION_GREATER_EQUAL 19)
    message(STATUS "asyncio: ${compiler} misplaces what is aligned beyond 16 bytes in a coroutine; "
                   "no other fault is known")
  else()
    message(STATUS "asyncio: nobody has looked for faults of ${compiler} in coroutines; "
                   "ctest -L compiler -V does")
  endif()
endfunction()
