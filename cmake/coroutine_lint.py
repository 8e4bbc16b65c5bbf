#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Finds await expressions that g++ compiles wrongly, without a warning.

Usage: python3 coroutine_lint.py [--list-rules] PATH...     (files, or directories of C++ sources)

The lint reads text, not types. It knows comments, literals, preprocessor lines, nested brackets,
lambdas and statements; the body of a lambda is a place of its own and does not count for the
statement around it. Macro definitions are not looked at. What it cannot see, whether a class owns
something, it decides strictly: a capture by value counts as owning.

A finding that is meant can be silenced in the statement, or on the line before it:
  // coroutine-lint: allow(RULE) the reason
Exit status: 0 nothing found, 1 something found, 2 wrong use.
"""

import argparse
import pathlib
import re
import sys
from dataclasses import dataclass, field

RULES = {
    "several-awaits": "more than one co_await in a statement; give each its own statement "
                      "(they may run in the wrong order)",
    "short-circuit": "&&, || or ?: in a statement with co_await may run the side it must skip; "
                     "use if, or compute the operand in a statement before",
    "bare-condition": "co_await in a condition without a declaration; write "
                      "`if (bool ok = co_await x(); ok)` (the coroutine may crash)",
    "nested-await": "co_await is not the whole right-hand side; await into a variable first "
                    "(operands to its left may be evaluated after it)",
    "in-braces": "co_await inside the braces of an initialiser; await into a variable first "
                 "(elements are destroyed twice)",
    "in-new": "co_await inside a new expression; await into a variable first (the result is "
              "destroyed twice)",
    "in-throw": "co_await inside a throw expression; await into a variable first (the result is "
                "destroyed twice)",
    "owning-capture": "a lambda with a capture by value in a statement with co_await; name it in a "
                      "statement before, capture by reference, or pass the value as an argument "
                      "(what it owns is destroyed twice)",
    "bad-allow": "a suppression needs the name of a rule and a reason",
    "unreadable": "brackets do not match; the file was not checked",
}
SUFFIXES = {".hpp", ".cpp", ".h", ".hh", ".cc", ".cxx", ".hxx", ".ipp"}

# --- Words ---------------------------------------------------------------------------------------

TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<comment>//(?:\\\n|[^\n])*|/\*.*?\*/)
      | (?P<raw>(?:u8|[uUL])?R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)")
      | (?P<string>(?:u8|[uUL])?"(?:\\.|[^"\\\n])*")
      | (?P<char>(?:u8|[uUL])?'(?:\\.|[^'\\\n])*')
      | (?P<number>\.?\d(?:[eEpP][+-]|'?[\w.])*)
      | (?P<word>[^\W\d]\w*)
      | (?P<mark_>\.\.\.|->\*|<=>|<<=|->|::|&&|\|\||<<|<=|>=|==|!=|[-+*/%&|^]=|\+\+|--|\#\#|.)
    """,
    re.VERBOSE | re.DOTALL)
DIRECTIVE = re.compile(r"[ \t]*#[ \t]*(\w*)(?:\\\n|//[^\n]*|/\*.*?\*/|[^\n])*", re.DOTALL)
OPERATOR_WORDS = {"and": "&&", "or": "||"}


@dataclass
class Token:
    text: str
    line: int
    kind: str  # word, number, literal, mark; a Group has the kind "group"


@dataclass
class Group:
    """A bracket with everything up to its partner."""
    text: str  # the opening bracket
    line: int
    inside: list = field(default_factory=list)
    last_line: int = 0
    kind: str = "group"


@dataclass
class Allow:
    rules: set
    line: int  # the line of code it speaks of


class Unreadable(Exception):
    def __init__(self, line):
        self.line = line


def scan(text, first_branches_only):
    """Tokens and comments of a source text; preprocessor lines are left out."""
    tokens, comments = [], []
    position, line, fresh = 0, 1, True
    skipping = []  # for each open #if: are we in a branch that is left out?
    while position < len(text):
        if fresh:
            directive = DIRECTIVE.match(text, position)
            if directive:
                name = directive.group(1)
                if name in ("if", "ifdef", "ifndef"):
                    skipping.append(False)
                elif name in ("else", "elif", "elifdef", "elifndef") and skipping:
                    skipping[-1] = first_branches_only
                elif name == "endif" and skipping:
                    skipping.pop()
                line += directive.group().count("\n")
                position = directive.end()
                fresh = False
                continue
        match = TOKEN.match(text, position)
        kind, word = match.lastgroup, match.group()
        position = match.end()
        if kind == "mark":  # the named group inside a raw string
            kind = "raw"
        if kind == "space":
            fresh = fresh or "\n" in word
        elif kind == "comment":
            comments.append((line, fresh, word))
        else:
            fresh = False
            if not any(skipping):
                kind = {"word": "word", "number": "number", "mark_": "mark"}.get(kind, "literal")
                word = OPERATOR_WORDS.get(word, word) if kind == "word" else word
                tokens.append(Token(word, line, "mark" if word in ("&&", "||") else kind))
        line += match.group().count("\n")
    return tokens, comments


def group(tokens):
    """The tokens as a tree of brackets."""
    partner = {"(": ")", "[": "]", "{": "}"}
    root = Group("", 1)
    open_groups = [root]
    for token in tokens:
        if token.kind == "mark" and token.text in partner:
            inner = Group(token.text, token.line)
            open_groups[-1].inside.append(inner)
            open_groups.append(inner)
        elif token.kind == "mark" and token.text in partner.values():
            inner = open_groups.pop()
            if not open_groups or partner.get(inner.text) != token.text:
                raise Unreadable(token.line)
            inner.last_line = token.line
        else:
            open_groups[-1].inside.append(token)
    if len(open_groups) > 1:
        raise Unreadable(open_groups[-1].line)
    return root.inside


def is_word(node, *words):
    return node.kind == "word" and (not words or node.text in words)


def is_mark(node, *marks):
    return node.kind == "mark" and node.text in marks


def is_group(node, bracket):
    return node.kind == "group" and node.text == bracket


def is_await(nodes, at):
    return (is_word(nodes[at], "co_await", "co_yield")
            and not (at > 0 and is_word(nodes[at - 1], "operator")))


# --- Lambdas -------------------------------------------------------------------------------------

BEFORE_LAMBDA = {"return", "co_return", "co_await", "co_yield", "throw", "case", "else", "do"}


def lambda_body(nodes, at):
    """If a lambda begins at `at`, the index of its body in braces."""
    if not is_group(nodes[at], "["):
        return None
    inside = nodes[at].inside
    if len(inside) == 1 and is_group(inside[0], "["):
        return None  # an attribute
    if at > 0:
        before = nodes[at - 1]
        if is_word(before) and before.text not in BEFORE_LAMBDA:
            return None  # subscript, operator[], delete[], or a structured binding
        if before.kind in ("group", "literal") and not is_group(before, "{"):
            return None
        if is_mark(before, "&", "&&") and at > 1 and is_word(nodes[at - 2], "auto"):
            return None
    for index in range(at + 1, len(nodes)):
        node = nodes[index]
        if is_group(node, "{"):
            return index
        allowed = (node.kind in ("word", "number") or is_group(node, "(") or is_group(node, "[")
                   or is_mark(node, "->", "::", "<", ">", ",", "*", "&", "&&", "...", "=", "<<"))
        if not allowed:
            return None
    return None


def captures(nodes):
    """The capture list, split at its commas."""
    parts, part = [], []
    for node in nodes:
        if is_mark(node, ","):
            parts.append(part)
            part = []
        else:
            part.append(node)
    return [each for each in [*parts, part] if each]


def may_own(capture):
    return not (is_mark(capture[0], "&") or (len(capture) == 1 and is_word(capture[0], "this")))


# --- Statements ----------------------------------------------------------------------------------

CONTROL = {"if", "while", "for", "switch"}
TYPES = {"class", "struct", "union", "enum", "namespace", "extern", "concept"}
AFTER_PARAMETERS = {"const", "noexcept", "override", "final", "mutable", "try", "volatile"}


class Linter:
    def __init__(self):
        self.findings = []  # (line, rule, first line of the statement, last line)

    def found(self, rule, line, nodes):
        self.findings.append((line, rule, first_line(nodes), last_line(nodes)))

    # Blocks: lists of statements, declarations or members; they need not be told apart.

    def block(self, nodes):
        at = 0
        while at < len(nodes):
            at = self.statement(nodes, at)

    def statement(self, nodes, at):
        """Checks the statement that begins at `at` and returns where the next one begins."""
        node = nodes[at]
        if is_mark(node, ";"):
            return at + 1
        if is_group(node, "{"):
            self.block(node.inside)
            return at + 1
        if is_word(node, "else", "do", "try"):
            return at + 1
        if is_word(node, "case", "default") or self.is_label(nodes, at):
            while at < len(nodes) and not is_mark(nodes[at], ":"):
                at += 1
            return at + 1
        if is_word(node, "public", "private", "protected"):
            return at + (2 if at + 1 < len(nodes) and is_mark(nodes[at + 1], ":") else 1)
        if is_word(node, *CONTROL):
            head = at + 1
            while head < len(nodes) and not is_group(nodes[head], "("):
                head += 1  # constexpr
            if head < len(nodes):
                self.control(node.text, nodes[head])
            return head + 1
        if is_word(node, "catch"):
            return at + 2
        end = at
        while end < len(nodes):
            if is_mark(nodes[end], ";"):
                break
            body = lambda_body(nodes, end)
            if body is not None:
                end = body + 1
                continue
            if is_group(nodes[end], "{") and self.is_body(nodes, at, end):
                self.expression(nodes[at:end])
                self.block(nodes[end].inside)
                return end + 1
            end += 1
        self.expression(nodes[at:end])
        return end + 1

    @staticmethod
    def is_label(nodes, at):
        return (is_word(nodes[at]) and at + 1 < len(nodes) and is_mark(nodes[at + 1], ":")
                and nodes[at].text not in TYPES)

    @staticmethod
    def is_body(nodes, start, at):
        """Is the brace at `at` the body of what began at `start`, or an initialiser?"""
        before = nodes[at - 1]
        head = without_template_header(nodes[start:at])
        if defines_type(head):
            return True
        if any(is_mark(node, "=") and not (i > 0 and is_word(head[i - 1], "operator"))
               for i, node in enumerate(head)):
            return False  # a function has none at this level; a lambda is passed over before
        if is_group(before, "(") or is_word(before, *AFTER_PARAMETERS):
            return True
        if is_mark(before, "&", "&&"):
            return True  # a member function for lvalues or rvalues
        parameters = next((i for i, node in enumerate(head) if is_group(node, "(")), None)
        if parameters is None:
            return False
        after = head[parameters + 1:]
        if any(is_mark(node, "->") or is_word(node, "requires") for node in after):
            return True
        # A constructor with initialisers: `X(...) : a{1}, b{2} { body }`
        return any(is_mark(node, ":") for node in after) and is_group(before, "{")

    # Conditions

    def control(self, keyword, head):
        parts, part = [], []
        for node in head.inside:
            if is_mark(node, ";"):
                parts.append(part)
                part = []
            else:
                part.append(node)
        parts.append(part)
        if keyword == "for":
            self.expression(parts[0], colon_ends_declaration=len(parts) <= 2)
            if len(parts) == 2:  # for (init; range)
                self.expression(parts[1], colon_ends_declaration=True)
            elif len(parts) == 3:
                self.condition(parts[1])
                self.expression(parts[2])
            return
        for init in parts[:-1]:
            self.expression(init)
        self.condition(parts[-1])

    def condition(self, nodes):
        if self.awaits(nodes) and not self.declares(nodes):
            self.found("bare-condition", self.awaits(nodes)[0][0], nodes)
            self.expression(nodes, place_matters=False)
        else:
            self.expression(nodes)

    @staticmethod
    def declares(nodes):
        """`Type name = ...`: two words before the first `=`, no call and no member access."""
        for at, node in enumerate(nodes):
            if is_mark(node, "="):
                words = [each for each in nodes[:at] if is_word(each)]
                return (len(words) >= 2 and not any(is_group(each, "(") for each in nodes[:at])
                        and not any(is_mark(each, ".", "->") for each in nodes[:at]))
            if is_word(node, "co_await"):
                return False
        return False

    # Expressions

    def awaits(self, nodes):
        """(line, path) of each await of this expression; a path is the brackets around it."""
        found = []

        def walk(level, path):
            at = 0
            while at < len(level):
                node = level[at]
                if is_await(level, at):
                    found.append((node.line, [*path, (level, at)]))
                body = lambda_body(level, at)
                if body is not None:
                    walk(node.inside, [*path, (level, at)])
                    at = body
                elif node.kind == "group":
                    walk(node.inside, [*path, (level, at)])
                at += 1

        walk(nodes, [])
        return found

    def expression(self, nodes, colon_ends_declaration=False, place_matters=True):
        """Checks a full expression or declaration, then what is inside its lambdas."""
        if not nodes:
            return
        if is_word(nodes[0], "co_yield") and len(nodes) > 1 and is_word(nodes[1], "co_await"):
            nodes = nodes[1:]  # `co_yield co_await x;` is right, as `co_return co_await x;` is
        awaits = self.awaits(nodes)
        if len(awaits) > 1:
            self.found("several-awaits", awaits[1][0], nodes)
        for line, path in awaits:
            self.place(nodes, line, path, colon_ends_declaration, place_matters)
        self.inner(nodes, nodes, bool(awaits))

    def place(self, nodes, line, path, colon_ends_declaration, place_matters):
        """Checks where an await stands."""
        for level, at in path:
            before = level[:at]
            if any(is_word(node, "new") for node in before):
                self.found("in-new", line, nodes)
                return
            if any(is_word(node, "throw") for node in before):
                self.found("in-throw", line, nodes)
                return
        if any(is_group(level[at], "{") for level, at in path[:-1]):
            self.found("in-braces", line, nodes)
            return
        if not place_matters:
            return
        level, at = path[-1]
        if len(path) > 1:
            self.found("nested-await", line, nodes)
            return
        before = level[:at]
        if is_word(level[at], "co_yield"):  # its operand is all that follows
            if before and not is_mark(before[-1], "="):
                self.found("nested-await", line, nodes)
            return
        starts = ["="] + ([":"] if colon_ends_declaration else [])
        whole = (not before or is_mark(before[-1], *starts) or is_word(before[-1], "co_return")
                 or (len(before) == 1 and is_void(before[0])))
        after = level[operand_end(level, at + 1):]
        if not whole or (after and not is_mark(after[0], "&&", "||", "?")):
            self.found("nested-await", line, nodes)

    def inner(self, nodes, statement, awaiting):
        """Checks the lambdas of an expression, and its operators if it awaits."""
        at = 0
        while at < len(nodes):
            node = nodes[at]
            body = lambda_body(nodes, at)
            if body is not None:
                if awaiting and any(may_own(each) for each in captures(node.inside)):
                    self.found("owning-capture", node.line, statement)
                self.inner(node.inside, statement, awaiting)
                self.block(nodes[body].inside)
                at = body + 1
                continue
            if node.kind == "group":
                self.inner(node.inside, statement, awaiting)
            elif awaiting and is_operator(nodes, at):
                self.found("short-circuit", node.line, statement)
            at += 1


def without_template_header(nodes):
    """What follows `template <...>`, whose defaults may contain `=` and `class`."""
    if not nodes or not is_word(nodes[0], "template"):
        return nodes
    depth = 0
    for at, node in enumerate(nodes):
        depth += is_mark(node, "<") - is_mark(node, ">")
        if at > 0 and depth == 0:
            return without_template_header(nodes[at + 1:])
    return nodes


def defines_type(head):
    """`struct X<R(A...)> : Y`: no parameters and no value after the last class, enum, namespace."""
    types = [at for at, node in enumerate(head) if is_word(node, *TYPES)]
    if not types:
        return False
    depth = 0
    for at in range(types[-1] + 1, len(head)):
        node = head[at]
        depth += is_mark(node, "<") - is_mark(node, ">")
        call = is_group(node, "(") and not is_word(head[at - 1], "alignas")
        if depth == 0 and (call or is_mark(node, "=")):
            return False
    return True


def is_void(node):
    return is_group(node, "(") and len(node.inside) == 1 and is_word(node.inside[0], "void")


def is_operator(nodes, at):
    """Is this && || or ? an operator, and not a piece of a type?"""
    if is_mark(nodes[at], "||", "?"):
        return True
    if not is_mark(nodes[at], "&&") or at == 0 or at + 1 == len(nodes):
        return False
    after = nodes[at + 1]
    if is_mark(after, ">", ",", "...", "=") or is_group(after, "["):
        return False
    if is_word(nodes[at - 1], "auto", "const"):
        return False
    # `Type&& name = value`: a declaration, if all that stands before it can be a type.
    if is_word(after) and at + 2 < len(nodes) and is_mark(nodes[at + 2], "=", ":"):
        return not all(is_word(node) or is_mark(node, "::", "<", ">", ",", "*", "&")
                       for node in nodes[:at])
    return True


def template_end(nodes, at):
    """The index after a template argument list that begins at `at`, or None if `<` compares."""
    depth = 0
    for index in range(at, len(nodes)):
        node = nodes[index]
        if is_mark(node, "<"):
            depth += 1
        elif is_mark(node, ">"):
            depth -= 1
            if depth == 0:
                after = nodes[index + 1] if index + 1 < len(nodes) else None
                follows = after is not None and (after.kind == "group" or is_mark(after, "::"))
                return index + 1 if follows else None
        elif not (node.kind in ("word", "number", "group")
                  or is_mark(node, "::", ",", "*", "&", "&&", "...")):
            return None
    return None


def operand_end(nodes, at):
    """The index after the operand of a co_await: prefix operators, then a postfix expression."""
    while at < len(nodes) and is_mark(nodes[at], "*", "&", "!", "-", "+", "~", "::"):
        at += 1
    if at < len(nodes):
        body = lambda_body(nodes, at)
        at = at + 1 if body is None else body + 1
    while at < len(nodes):
        if nodes[at].kind == "group":
            at += 1
        elif is_mark(nodes[at], ".", "->", "::"):
            at += 2
            if at <= len(nodes) and is_word(nodes[at - 1], "template"):
                at += 1
        elif is_mark(nodes[at], "<"):
            end = template_end(nodes, at)
            if end is None:
                return at
            at = end
        else:
            return at
    return at


def first_line(nodes):
    return nodes[0].line


def last_line(nodes):
    return nodes[-1].last_line if nodes[-1].kind == "group" else nodes[-1].line


# --- Files ---------------------------------------------------------------------------------------

MARK = re.compile(r"//\s*coroutine-lint:\s*(.*)", re.DOTALL)
ALLOW = re.compile(r"allow\(([^)]*)\)\s*(\S.*)?", re.DOTALL)


def read_allows(comments, code_lines):
    allows, findings = [], []
    for line, alone, text in comments:
        mark = MARK.match(text)
        if not mark:
            continue
        match = ALLOW.match(mark.group(1))
        rules = {rule.strip() for rule in match.group(1).split(",")} if match else set()
        if not match or not match.group(2) or not rules <= RULES.keys():
            findings.append((line, "bad-allow"))
            continue
        if alone:  # nothing else in the line: it speaks of the code that follows
            line = next((each for each in code_lines if each > line), line)
        allows.append(Allow(rules, line))
    return allows, findings


def silenced(finding, allows):
    _, rule, first, last = finding
    return any(rule in allow.rules and first <= allow.line <= last for allow in allows)


def lint_text(text):
    """(line, rule) of each finding, in order."""
    linter = Linter()
    for first_branches_only in (False, True):
        tokens, comments = scan(text, first_branches_only)
        try:
            tree = group(tokens)
        except Unreadable as error:
            if first_branches_only:
                return [(error.line, "unreadable")]
            continue
        linter.block(tree)
        break
    allows, findings = read_allows(comments, sorted({token.line for token in tokens}))
    findings += [(each[0], each[1]) for each in linter.findings if not silenced(each, allows)]
    return sorted(set(findings))


def sources(paths):
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.suffix in SUFFIXES)
        else:
            yield path


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list-rules", action="store_true", help="print the rules and stop")
    parser.add_argument("--exclude", action="append", default=[], type=pathlib.Path,
                        metavar="DIRECTORY", help="leave out what is below this directory")
    parser.add_argument("paths", nargs="*", type=pathlib.Path, metavar="PATH")
    options = parser.parse_args()
    if options.list_rules:
        for rule, message in RULES.items():
            print(f"{rule:16}{message}")
        return 0
    if not options.paths:
        parser.error("PATH is missing")
    excluded = [each.resolve() for each in options.exclude]
    count = 0
    for path in sources(options.paths):
        if any(path.resolve().is_relative_to(each) for each in excluded):
            continue
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            parser.error(str(error))
        for line, rule in lint_text(text):
            print(f"{path}:{line}: {rule}: {RULES[rule]}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
