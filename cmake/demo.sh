#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Builds the echo server and the echo client and lets them talk. Succeeds if both end well and the
# client got back what it sent.
set -eu
cd "$(dirname "$0")/.."

sh cmake/bootstrap.sh
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
cmake --preset release >/dev/null
cmake --build --preset release --target protocol_echo_server protocol_echo_client

scratch=$(mktemp -d)
server=
quit() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$scratch"
}
trap quit EXIT
trap 'exit 1' INT TERM

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
label() { sed -u "s/^/$1 | /"; }
# The data the client says it sent or received, pieces joined.
payload() { sed -n "s/.*$1 b['\"]\(.*\)['\"]\$/\1/p" "$scratch/client" | tr -d '\n'; }

# The server's output comes through a pipe, so that reading it waits for the server to be ready, or
# gone. The time limits are for a program that hangs; in the foreground, because timeout would send
# the interrupt twice otherwise, the second one perhaps when the server has closed its loop.
mkfifo "$scratch/server"
timeout --foreground 60 build/release/bin/protocol_echo_server >"$scratch/server" 2>&1 &
server=$!
exec 3<"$scratch/server"
ready=no
while [ $ready = no ] && IFS= read -r line <&3; do
  printf 'server | %s\n' "$line"
  case $line in *"starting up on localhost port 10000"*) ready=yes ;; esac
done
[ $ready = yes ] || fail "the server did not start"
label server <&3 &
shown=$!

client_status=0
timeout --foreground 60 build/release/bin/protocol_echo_client >"$scratch/client" 2>&1 || client_status=$?
label client <"$scratch/client"

kill -INT "$server"
server_status=0
wait "$server" || server_status=$?
server=
wait "$shown"

[ $client_status -eq 0 ] || fail "the client ended with status $client_status"
[ $server_status -eq 0 ] || fail "the server ended with status $server_status"
[ -n "$(payload sending)" ] || fail "the client sent nothing"
[ "$(payload sending)" = "$(payload received)" ] || fail "the echo differs from what was sent"
echo "PASSED: the echo server and client talked"
