#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Every transport scenario of the folder `protocols` three times, with the program under test."""
import os
import pathlib
import sys

import _protocol_compare

program = pathlib.Path(os.environ["ASYNCIO_BIN"]) / "protocol_trace"
sys.exit(not _protocol_compare.compare([str(program)], [_protocol_compare.SCENARIOS], repeat=3))
