#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs the scenarios of the folder `corpus` and compares each trace, line by line, with CPython's.

    conformance_test.py [--guest] [AREA...]

ASYNCIO_BIN names the directory of scenario_runner. An AREA is what stands before the dot in the
names of scenarios: `lock`, or `gen-locks` for the random ones. Without any, the areas listed in
supported.txt are run. With --guest the loops are guests of an io_context.
"""
import collections
import difflib
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
RUNNER = pathlib.Path(os.environ.get("ASYNCIO_BIN", "build/release/bin")) / "scenario_runner"
OPTIONS = [option for option in sys.argv[1:] if option.startswith("--")]
PATIENCE = 120  # seconds for the scenarios of an area
SHOWN = 10      # differences that are printed

Scenario = collections.namedtuple("Scenario", "name text trace")


def read(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return file.read()


def objects(text):
    """The text of each JSON object in there; white space stands between them."""
    decoder = json.JSONDecoder()
    position = 0
    while text[position:].lstrip():
        position = len(text) - len(text[position:].lstrip())
        _, end = decoder.raw_decode(text, position)
        yield text[position:end]
        position = end


def traces(text):
    """{name: lines} of what a runner prints: a line `# NAME`, then the trace."""
    found = {}
    for part in ("\n" + text).split("\n# ")[1:]:
        name, *lines = part.splitlines()
        found[name] = lines
    return found


def load_corpus():
    """{area: [Scenario]}"""
    areas = collections.defaultdict(list)
    for path in sorted((HERE / "corpus").glob("*/*.json*")):
        stem = path.name.split(".")[0]
        compressed = ".gz" if path.suffix == ".gz" else ""
        expected = traces(read(path.with_name(f"{stem}.trace{compressed}")))
        for text in objects(read(path)):
            name = json.loads(text)["name"]
            areas[name.split(".")[0]].append(Scenario(name, text, expected[name]))
    return areas


def load_supported():
    """{area: operations it may lack}; see the head of the file."""
    supported = {}
    for line in read(HERE / "supported.txt").splitlines():
        words = line.split("#")[0].split()
        if words:
            supported[words[0]] = words[2:]
    return supported


def execute(scenarios):
    """{name: trace} as far as the runner came, and what ended it if it did not come to the end."""
    handle, path = tempfile.mkstemp(suffix=".jsonl")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(scenario.text for scenario in scenarios))
        run = subprocess.run([str(RUNNER), path, *OPTIONS], timeout=PATIENCE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        trouble = None
        if run.returncode or run.stderr:
            message = run.stderr.decode(errors="replace")[-4000:]
            trouble = f"exit status {run.returncode}\n{message}".rstrip()
        return traces(run.stdout.decode(errors="replace")), trouble
    except subprocess.TimeoutExpired as expired:
        output = (expired.stdout or b"").decode(errors="replace")
        return traces(output), f"no end within {PATIENCE} seconds"
    finally:
        os.unlink(path)


def run_area(scenarios):
    """[(scenario, trace, trouble)]; a crash costs one scenario, not those behind it."""
    results = []
    while scenarios:
        found, trouble = execute(scenarios)
        reached = [scenario for scenario in scenarios if scenario.name in found]
        if trouble and not reached:
            reached = scenarios[:1]
        complete = len(reached) == len(scenarios)
        for scenario in reached:
            last = scenario is reached[-1]
            results.append((scenario, found.get(scenario.name, []), trouble if last else None))
        if complete or not trouble:
            missing = scenarios[len(reached):]
            results += [(scenario, [], "not in the output") for scenario in missing]
            break
        scenarios = scenarios[len(reached):]
    return results


def show(scenario, trace, trouble):
    about = json.loads(scenario.text).get("about", "")
    print(f"\n=== {scenario.name}: {about}")
    if trouble:
        print(f"    the runner: {trouble}")
    for line in difflib.unified_diff(scenario.trace, trace, "CPython", "asyncio", n=4, lineterm=""):
        print(f"    {line}")


def main(wanted):
    corpus = load_corpus()
    supported = load_supported()
    unknown = [area for area in wanted or supported if area not in corpus]
    if unknown:
        sys.exit(f"no such area: {' '.join(unknown)} (there are: {' '.join(sorted(corpus))})")
    passed = failed = skipped = 0
    for area in wanted or supported:
        lacking = [f"unsupported: {op}" for op in supported.get(area, [])]
        for scenario, trace, trouble in run_area(corpus[area]):
            if trace and trace[0] in lacking and not trouble:
                skipped += 1
            elif trace == scenario.trace and not trouble:
                passed += 1
            else:
                failed += 1
                if failed <= SHOWN:
                    show(scenario, trace, trouble)
    if skipped:
        print(f"by supported.txt: {skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    return failed == 0


if __name__ == "__main__":
    sys.exit(not main([word for word in sys.argv[1:] if word not in OPTIONS]))
