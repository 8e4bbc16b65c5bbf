#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Everything that unit/CPYTHON.md and CHECKLIST.md name exists, and the checklist has every row.

The last column of a row is `PLACE: CASE, CASE; PLACE: CASE`, the cases in backquotes, with remarks
between, or says why there is none. A place is a file of unit or fault without its folder and
extension, or a path, and may stand alone. What its cases are depends on what it is:

    a C++ test          its test cases
    a Python test       its test methods and classes
    a folder            the scenarios in it
    a Markdown file     its headings
"""
import collections
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent

PATH = r"(?:cmake|examples|include|src|test)/[\w./-]*\w|README\.md"
TOKEN = re.compile(rf"(?<![\w/])({PATH})(?![\w/])|(\w+): |`([^`]+)`")
CASE_OF = {
    ".cpp": r"BOOST_\w*TEST_CASE\w*\(\s*(\w+)",
    ".py": r"^ *(?:async )?(?:def|class) (\w+)",
    ".md": r"^#+ (.+)$",
}
SECTION = re.compile(r"## .*\(([A-Z])1 to \1(\d+)\)")
ROW = re.compile(r"\| ([A-Z])(\d+) \|")


class Places:
    """Where cases are looked for: the sources of the project."""

    def __init__(self):
        self.suites = {path.stem: path for folder in ("unit", "fault")
                       for path in (HERE / folder).glob("*.cpp")}
        self.known = {}

    def path(self, name):
        return self.suites.get(name) or ROOT / name

    def cases(self, name):
        if name not in self.known:
            path = self.path(name)
            if path.is_dir():
                self.known[name] = {scenario.stem for scenario in path.glob("*.json")}
            elif path.is_file() and path.suffix in CASE_OF:
                text = path.read_text("utf-8")
                self.known[name] = set(re.findall(CASE_OF[path.suffix], text, re.MULTILINE))
            else:
                self.known[name] = set()
        return self.known[name]


def check_links(text, places):
    """What the last column of a row names: (how many things, what is wrong)."""
    place, named, wrong = "?", 0, []
    for path, suite, case in TOKEN.findall(text):
        if path:
            place, named = path, named + 1
            if not places.path(path).exists():
                wrong.append(f"{path} does not exist")
        elif suite:
            place = suite
        elif case.isidentifier() or place == "README.md":
            named += 1
            if case not in places.cases(place):
                wrong.append(f"{place}: {case} does not exist")
    return named, wrong


def check_table(path, places, excused):
    """The same for a whole table, whose rows name something; or say why not, where that will do."""
    named, wrong = 0, []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.startswith("| ") and not re.match(r"\| (CPython|id) \|", line):
            links = line.rstrip().removesuffix("|").rpartition("|")[2].strip()
            found, missing = check_links(links, places)
            if not found and not (excused and links):
                missing.append("names nothing")
            named += found
            wrong += [f"{path.name}:{number}: {text}" for text in missing]
    return named, wrong


def check_ids(path):
    """The rows of each section are those that its heading announces, in order."""
    announced, listed = {}, collections.defaultdict(list)
    for line in path.read_text("utf-8").splitlines():
        if match := SECTION.match(line):
            announced[match[1]] = int(match[2])
        elif match := ROW.match(line):
            listed[match[1]].append(int(match[2]))
    if not announced:
        return [f"{path.name}: no section announces its rows"]
    return [f"{path.name}: the rows of {letter} are not 1 to {announced.get(letter, 0)}, in order"
            for letter in sorted(announced.keys() | listed.keys())
            if listed[letter] != list(range(1, announced.get(letter, 0) + 1))]


def main():
    places = Places()
    checklist = HERE / "CHECKLIST.md"
    failures = check_ids(checklist)
    for table, excused in (HERE / "unit" / "CPYTHON.md", True), (checklist, False):
        named, wrong = check_table(table, places, excused)
        print(f"{table.name}: {named} named, {len(wrong)} failed")
        failures += wrong if named else [f"{table.name}: nothing is named"]
    for text in failures:
        print(text)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
