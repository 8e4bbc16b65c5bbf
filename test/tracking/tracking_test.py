#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Asio's handler tracking shows operations of asyncio with the lines where they begin.

    tracking_test.py PROGRAM SOURCE    of tracked.cpp, and that file
"""
import pathlib
import re
import subprocess
import sys

program, source = sys.argv[1:]
line = next(number for number, text in enumerate(pathlib.Path(source).read_text().splitlines(), 1)
            if "// awaited here" in text)
run = subprocess.run([program], stderr=subprocess.PIPE, text=True, timeout=60, check=True)
# @asio|TIME|FROM^TO|in 'FUNCTION' (FILE:LINE), with at most so much of the function as Asio has room for
places = {(pathlib.Path(file).name, function, int(number)) for function, file, number in
          re.findall(r"^@asio\|[\d.]+\|\d+\^\d+\|in '(.*)' \((.*):(\d+)\)$", run.stderr, re.MULTILINE)}

wanted = {
    "the pump is posted": lambda file, function, _: file == "loop_drive.cpp" and "attend" in function,
    "a server waits": lambda file, *_: file == "server.cpp",
    "a connection waits": lambda file, function, _:
        file == "socket_transport.hpp" and "wait_read" in function,
    "an operation is awaited": lambda file, function, number:
        file == "tracked.cpp" and number == line and "talk" in function,
    "a handler of the program is called": lambda file, *_: file.startswith("async_run"),
}
missing = [what for what, matches in wanted.items() if not any(matches(*at) for at in places)]
if missing:
    print(run.stderr)
    sys.exit(f"not found: {', '.join(missing)}, in {sorted(places)}")
