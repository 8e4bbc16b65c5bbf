# SPDX-License-Identifier: BSL-1.0
# Fails unless the public headers are light: whoever includes them all, but <asyncio/asio.hpp>, gets
# no Boost header beyond those that <boost/system/system_error.hpp> needs itself; and none of ours
# asks for a heavy standard header.
# Takes COMPILER, INCLUDE (our headers), BOOST (include directories of Boost), SCRATCH.

# Sets `result` to the Boost headers that the given include directives bring in.
function(boost_headers_of directives result)
  file(WRITE "${SCRATCH}/light_headers.cpp" "${directives}")
  set(flags "-I${INCLUDE}")
  foreach(directory IN LISTS BOOST)
    list(APPEND flags -idirafter "${directory}") # may be /usr/include, which must stay last
  endforeach()
  execute_process(COMMAND "${COMPILER}" -std=c++20 -M ${flags} "${SCRATCH}/light_headers.cpp"
                  OUTPUT_VARIABLE rule COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "/boost/[^ \n\\]+" found "${rule}")
  list(REMOVE_DUPLICATES found)
  set(${result} "${found}" PARENT_SCOPE)
endfunction()

file(GLOB headers RELATIVE "${INCLUDE}" "${INCLUDE}/asyncio/*.hpp")
list(REMOVE_ITEM headers asyncio/asio.hpp)
list(TRANSFORM headers REPLACE "(.+)" "#include <\\1>\n")
list(JOIN headers "" directives)
boost_headers_of("${directives}" found)
boost_headers_of("#include <boost/system/system_error.hpp>\n" allowed)
list(REMOVE_ITEM found ${allowed})

set(faults)
if(found)
  list(JOIN found "\n  " found)
  string(APPEND faults "The public headers bring in these headers of Boost:\n  ${found}\n")
endif()

set(heavy "iostream|regex|sstream|chrono|ranges|algorithm|condition_variable|thread|format")
file(GLOB_RECURSE headers "${INCLUDE}/*.hpp")
foreach(header IN LISTS headers)
  file(STRINGS "${header}" lines REGEX "^ *# *include *<(${heavy})>")
  if(header MATCHES "/detail/(chrono|ranges)\\.hpp$")
    continue() # they know a lighter one where there is one
  endif()
  if(lines)
    string(APPEND faults "${header}: ${lines}\n")
  endif()
endforeach()

if(faults)
  message(FATAL_ERROR "${faults}")
endif()
