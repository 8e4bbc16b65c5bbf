#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Every case that unit/CPYTHON.md names exists, in the file it names.

A row's second column is `FILE: CASE, CASE; FILE: CASE`, the cases in backquotes, with remarks
between, or says why there is none.
"""
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
CASE = re.compile(r"BOOST_\w*TEST_CASE\w*\(\s*(\w+)")


def main():
    cases = {path.stem: set(CASE.findall(path.read_text(encoding="utf-8")))
             for folder in ("unit", "fault") for path in (HERE / folder).glob("*.cpp")}
    named = failed = 0
    for number, line in enumerate((HERE / "unit" / "CPYTHON.md").read_text("utf-8").splitlines(), 1):
        if not line.startswith("| ") or line.startswith("| CPython |"):
            continue
        _, _, ours = line.strip("| ").partition(" | ")
        file, wrong = None, [] if ours else ["says nothing"]
        for match in re.finditer(r"(\w+): |`(\w+)`", ours):
            if match[1]:
                file = match[1]
                continue
            named += 1
            if match[2] not in cases.get(file, ()):
                wrong.append(f"{file}: {match[2]} does not exist")
        failed += len(wrong)
        for text in wrong:
            print(f"CPYTHON.md:{number}: {text}")
    print(f"{named} cases named, {failed} failed")
    sys.exit(1 if failed or not named else 0)


if __name__ == "__main__":
    main()
