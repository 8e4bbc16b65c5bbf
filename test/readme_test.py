# SPDX-License-Identifier: BSL-1.0
"""Every C++ block of the documents is cut from a file that is compiled.

A block is preceded by a line `<!-- from PATH -->`, or stands under a heading that is an example's
name; its lines must stand in that file, in one piece, at whatever indentation.
"""
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?:<!-- from (?P<path>\S+) -->\s*)?^```(?P<language>\w*)\n(?P<code>.*?)^```",
                   re.MULTILINE | re.DOTALL)


def squeezed(text):
    return "\n".join(line.rstrip() for line in textwrap.dedent(text).strip("\n").split("\n"))


def contains(file_text, code):
    """Does the code stand in the file, at whatever indentation?"""
    wanted = squeezed(code).split("\n")
    lines = file_text.split("\n")
    return any(squeezed("\n".join(lines[i:i + len(wanted)])) == "\n".join(wanted)
               for i in range(len(lines) - len(wanted) + 1))


def source_of(match, text):
    """The file from which a block is cut; None if the document does not say."""
    if match["path"]:
        return ROOT / match["path"]
    headings = re.findall(r"^## (\w+)$", text[:match.start()], re.MULTILINE)
    example = ROOT / "examples" / f"{headings[-1]}.cpp" if headings else None
    return example if example and example.exists() else None


def main():
    blocks = failures = 0
    for document in [ROOT / "README.md", ROOT / "examples" / "README.md"]:
        text = document.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if match["language"] != "cpp":
                continue
            blocks += 1
            source = source_of(match, text)
            if source and contains(source.read_text(encoding="utf-8"), match["code"]):
                continue
            failures += 1
            line = text[:match.start("code")].count("\n") + 1
            print(f"{document.relative_to(ROOT)}:{line}:",
                  f"is not in {source.relative_to(ROOT)}" if source else "does not say what it is cut from")
    print(f"{blocks - failures} passed, {failures} failed")
    sys.exit(1 if failures or not blocks else 0)


if __name__ == "__main__":
    main()
