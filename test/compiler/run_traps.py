#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""What does this compiler make of coroutines?

Compiles and runs the programs beside this file, prints a table, and fails if the outcome is not the
expected one:

  fN_*.cpp      a trap: the outcome is compared with the compiler's column in expected.txt; for a
                compiler without a column it is only printed
  safe_*.cpp    a shape that the house rules allow: right on every compiler
  accept_*.cpp  what the checks of asyncio/detail/compiler.hpp accept: right on every compiler
  refuse_*.cpp  what they refuse, says a line "// refused by g++ 12: TEXT" or "// refused by all:
                TEXT"; TEXT must be in the error. Where it is not refused it compiles.

The programs are always compiled at -O0 and without sanitizers: the faults are in the front end.
"""

import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
FLAGS = ["-std=c++20", "-O0", "-w"]


def identify(compiler):
    """('clang', 19, 1) or ('g++', 12, 2): asked of the preprocessor, names of programs lie."""
    text = subprocess.run([compiler, "-dM", "-E", "-x", "c++", "/dev/null"], check=True,
                          capture_output=True, text=True).stdout
    macros = dict(re.findall(r"#define (\w+) (.*)", text))
    if "__clang__" in macros:
        return "clang", int(macros["__clang_major__"]), int(macros["__clang_minor__"])
    return "g++", int(macros["__GNUC__"]), int(macros["__GNUC_MINOR__"])


def column_of(family, major, minor, columns):
    """The most exact column name that exists for this compiler, or None."""
    for name in (f"{family}-{major}.{minor}", f"{family}-{major}"):
        if name in columns:
            return name
    return None


def read_expected():
    lines = (HERE / "expected.txt").read_text().splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    columns = rows[0][1:]
    return columns, {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows[1:]}


def compile_and_run(compiler, scratch, source):
    """(outcome, detail): right, live or refused."""
    program = scratch / source.stem
    built = subprocess.run([compiler, *FLAGS, str(source), "-o", str(program)],
                           capture_output=True, text=True)
    if built.returncode != 0:
        internal = "internal compiler error" in built.stderr
        return "refused", "internal compiler error" if internal else built.stderr
    try:
        code = subprocess.run([str(program)], capture_output=True, timeout=20).returncode
    except subprocess.TimeoutExpired:
        return "live", "endless"
    if code == 0:
        return "right", ""
    return "live", "wrong" if code == 1 else "crash"


def check_refused(compiler, source, bites):
    """(outcome, detail) of a program that the checks refuse."""
    who, text = re.search(r"^// refused by (g\+\+ 12|all): (.+)$", source.read_text(),
                          re.MULTILINE).groups()
    built = subprocess.run([compiler, *FLAGS, "-fsyntax-only", str(source)],
                           capture_output=True, text=True)
    must_refuse = who == "all" or bites
    if not must_refuse:
        return ("right", "") if built.returncode == 0 else ("live", built.stderr)
    if built.returncode == 0:
        return "live", "accepted"
    return ("right", "") if text in built.stderr else ("live", built.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--scratch", required=True, type=pathlib.Path,
                        help="a directory for the programs")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)

    family, major, minor = identify(options.compiler)
    columns, expected = read_expected()
    column = column_of(family, major, minor, columns)
    sources = sorted(HERE.glob("*.cpp"))

    def judge(source):
        if source.stem.startswith("refuse_"):
            return check_refused(options.compiler, source, family == "g++" and major < 13)
        return compile_and_run(options.compiler, options.scratch, source)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        outcomes = dict(zip((source.stem for source in sources), pool.map(judge, sources)))

    known = f"compared with {column}" if column else "unknown here: traps are only reported"
    print(f"{family} {major}.{minor}, {known}\n")
    failures = []

    def print_table(title, answers, names):
        print(f"{title[0]:34}{title[1]}")
        for name in names:
            outcome, detail = outcomes[name]
            short = f" ({detail})" if detail and "\n" not in detail else ""
            print(f"{name:34}{answers[outcome]}{short}")
        print()

    traps = [name for name in outcomes if re.match(r"f\d", name)]
    print_table(("trap", "live here?"), {"right": "no", "live": "yes", "refused": "refused"}, traps)
    print_table(("safe shapes and checks", "right here?"),
                {"right": "yes", "live": "NO", "refused": "NO"},
                [name for name in outcomes if name not in traps])

    for name, (outcome, detail) in outcomes.items():
        wanted = "right"
        if name in traps:
            if name not in expected:
                failures.append(f"{name}: has no line in expected.txt")
            wanted = expected[name][column] if column and name in expected else "?"
        if wanted not in ("?", outcome):
            failures.append(f"{name}: expected {wanted}, is {outcome}\n{detail}".rstrip())
    for name in expected.keys() - outcomes.keys():
        failures.append(f"{name}: is in expected.txt, but there is no such program")

    if failures:
        print("Not as expected of this compiler (if a trap became right, see the top of "
              "expected.txt):")
        for failure in failures:
            print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
