# SPDX-License-Identifier: BSL-1.0
# Installs asyncio, builds the project beside this file against it and runs the program.
# Takes KIND: `this_kind` installs the build in BUILD; `other_kind` first makes a build of the kind
# (shared or static) that BUILD is not; `subdirectory` installs nothing, and compiles the program
# with asyncio as a part of that project. SHARED says which BUILD is. Also takes SOURCE, SCRATCH,
# GENERATOR, COMPILER and BOOST (where Boost's package is).

function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

set(settings -G "${GENERATOR}" -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_CXX_COMPILER=${COMPILER}"
             "-DBoost_DIR=${BOOST}")

file(REMOVE_RECURSE "${SCRATCH}/prefix" "${SCRATCH}/consumer")
if(KIND STREQUAL "subdirectory")
  run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}" -B "${SCRATCH}/consumer" ${settings}
      "-DASYNCIO_SOURCE=${SOURCE}")
  run("${CMAKE_COMMAND}" --build "${SCRATCH}/consumer" --target consumer_objects)
  execute_process(COMMAND "${CMAKE_COMMAND}" --build "${SCRATCH}/consumer" --target help
                  OUTPUT_VARIABLE targets COMMAND_ERROR_IS_FATAL ANY)
  if(targets MATCHES "protocol_echo_server|unit\\.")
    message(FATAL_ERROR "asyncio brings its examples or tests along")
  endif()
  return()
endif()
if(KIND STREQUAL "other_kind")
  if(SHARED)
    set(shared OFF)
  else()
    set(shared ON)
  endif()
  run("${CMAKE_COMMAND}" -S "${SOURCE}" -B "${SCRATCH}/library" ${settings}
      -DBUILD_SHARED_LIBS=${shared} -DASYNCIO_BUILD_TESTS=OFF -DASYNCIO_BUILD_EXAMPLES=OFF)
  run("${CMAKE_COMMAND}" --build "${SCRATCH}/library")
  set(BUILD "${SCRATCH}/library")
endif()

run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${SCRATCH}/prefix")
run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}" -B "${SCRATCH}/consumer" ${settings}
    "-DCMAKE_PREFIX_PATH=${SCRATCH}/prefix" -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF)
run("${CMAKE_COMMAND}" --build "${SCRATCH}/consumer")

execute_process(COMMAND "${SCRATCH}/consumer/consumer" OUTPUT_VARIABLE output
                COMMAND_ERROR_IS_FATAL ANY)
if(NOT output STREQUAL "answer 42\n")
  message(FATAL_ERROR "the consumer printed: ${output}")
endif()
