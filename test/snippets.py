#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Every ```cpp block of the documentation is cut from a file that is compiled.

    snippets.py FILE.md...

The block may be indented differently from the place it comes from.
"""
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```cpp\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def compiled():
    """The lines of every compiled file that documentation may cut from, without indentation."""
    for folder in ("examples", "test"):
        for path in sorted((ROOT / folder).rglob("*.cpp")):
            yield without_indentation(path.read_text(encoding="utf-8"))


def without_indentation(text):
    return "\n".join(line.strip() for line in text.strip().splitlines())


def main():
    sources = list(compiled())
    found = failed = 0
    for name in sys.argv[1:]:
        for match in BLOCK.finditer(pathlib.Path(name).read_text(encoding="utf-8")):
            found += 1
            if not any(without_indentation(match[1]) in source for source in sources):
                failed += 1
                print(f"{name}: this block is in no file of examples or test:\n"
                      + textwrap.indent(match[1], "  "))
    print(f"{found - failed} passed, {failed} failed")
    sys.exit(1 if failed or not found else 0)


if __name__ == "__main__":
    main()
