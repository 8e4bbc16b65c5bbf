#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The tests of cmake/coroutine_lint.py: each snippet with the findings it must give."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

LINT = pathlib.Path(__file__).resolve().parents[2] / "cmake" / "coroutine_lint.py"
sys.dont_write_bytecode = True
sys.path.insert(0, str(LINT.parent))
import coroutine_lint  # noqa: E402

# Statements that a body may contain.
GOOD = r"""
co_await x;
co_await x.y(1, f(2))->z[3];
co_await f<int, std::vector<T>>(x);
co_await ns::f<T>::g{1};
(void)co_await x;
int v = co_await x;
v = co_await x;
this->v_ = co_await x;
array[i] = co_await x;
auto [a, b] = co_await gather(f(), g());
auto& [a, b] = co_await x;
auto&& v = co_await x;
std::string&& v = co_await x;
co_return co_await x;
co_return;
co_yield v;
co_yield f(a, T(b));
co_yield std::move(v);
co_yield [&] { return a && b; };
co_yield co_await x;
auto sent = co_yield v;
if (a && b) co_yield v; else co_yield f(v);
while (auto item = co_await generator.next()) co_yield *item;
while (auto* item = co_await generator.next()) { f(*item); co_yield *item; }
if (auto v = co_await x; v) f();
if (auto v = co_await x) f(v);
if constexpr (flag) { co_await x; } else co_await y;
while (auto v = co_await x) f(v);
for (auto& e : co_await x) f(e);
for (auto&& e : co_await x) { co_await e; }
for (int i = 0; auto& e : co_await x) f(e, i);
for (int v = co_await x; v < 3; ++v) f(v);
switch (int v = co_await x; v) { case 1: co_await y; break; default: co_await z; }
do { co_await x; } while (a && b);
if (a && b) co_await x;
while (a || b) { int v = co_await x; }
int v = a ? b : c; co_await x;
label: co_await x;
try { co_await x; } catch (const E& e) { f(e && a); }
co_await task_group([&](TaskGroup& tg) -> Coroutine<> { co_await tg.x(); });
co_await task_group([this] { f(a && b); });
co_await task_group([&x, y = 1] () mutable {}, z); // coroutine-lint: allow(owning-capture) an int
co_await f([](T&& t) { return t; });
co_await f(+[](int a) noexcept -> bool { return a && b; });
co_await f([&x = y] {});
co_await f([&...args] {});
auto t = f([sp] { co_await g(sp); }); co_await std::move(t);
auto body = [sp, x = std::move(x)]() -> Coroutine<> { co_await x; }; co_await task_group(body);
auto body = [] { bool ok = co_await x; co_return co_await y; };
spawn([=]() -> Coroutine<> { co_await x; });
f("co_await a && b", 'c', R"x(co_await a ? b : c " )" )x", 1'000'000);
// co_await a && b
/* co_await a && b; */ co_await x;
auto p = &T::operator co_await; x.operator co_await().f(a && b);
co_await x; f(a ? b : c);
std::vector<int> v{1, 2}; co_await x;
if (a) co_await x; else if (b && c) co_await y; else co_await z;
int* p = new int[3]; co_await x;
co_await f(static_cast<T&&>(x));
co_await f(std::forward<Args>(args)...);
{ co_await x; { co_await y; } }
"""

# Rules, then a statement that breaks these and no other.
BAD = r"""
several-awaits in-braces | std::array<int, 2> a{co_await x, co_await y};
several-awaits nested-await | f(co_await x, co_await y);
several-awaits nested-await | a[co_await x] = co_await y;
several-awaits nested-await | co_await f(co_await x);
several-awaits nested-await short-circuit | bool b = co_await x && co_await y;
short-circuit nested-await | bool b = a && co_await x;
short-circuit nested-await | bool b = a and co_await x;
short-circuit | bool b = co_await x || a;
short-circuit | bool b = co_await x or a;
short-circuit | int v = co_await x ? 1 : 2;
short-circuit nested-await | int v = a ? 1 : co_await x;
short-circuit nested-await | co_return a && co_await x;
short-circuit nested-await | co_return (a || co_await x) == b;
short-circuit nested-await | x += a && co_await b();
short-circuit | co_await (a ? f() : g());
short-circuit | int v = co_await f(a && b);
short-circuit | int v = co_await f(a && b, [&] { return c && d; });
short-circuit | co_yield a && f(T());
short-circuit | co_yield a ? T(1) : T(2);
short-circuit | co_yield co_await x || a;
short-circuit in-throw | throw a ? v : co_await b();
short-circuit bare-condition | while (a && co_await x) f();
short-circuit bare-condition | if (a ? b : co_await x) f();
short-circuit nested-await | for (;; a || co_await x) f();
bare-condition | if (co_await x) f();
bare-condition | if (co_yield v) f();
bare-condition | if (!co_await x) f();
bare-condition | if (co_await x == 3) f();
bare-condition | if ((v = co_await x)) f();
bare-condition | if (v = co_await x) f();
bare-condition | if (p->v = co_await x) f();
bare-condition | if (int n = 1; co_await x(n)) f();
bare-condition | while (co_await x) f();
bare-condition | while (true) { if (co_await x) break; }
bare-condition | do f(); while (co_await x);
bare-condition | do { f(); } while (co_await x);
bare-condition | for (; co_await x;) f();
bare-condition | for (int i = 0; co_await x; ++i) f();
bare-condition | switch (co_await x) { case 1: break; }
bare-condition | auto l = [&]() -> Coroutine<> { if (co_await x) f(); };
bare-condition | co_await g([&]() -> Coroutine<> { if (co_await x) f(); });
bare-condition | if (a) { f(); } else if (co_await x) { g(); }
nested-await | f(co_await x);
nested-await | BOOST_TEST(co_await x);
nested-await | get().m(co_await x);
nested-await | s << co_await x;
nested-await | x += co_await y;
nested-await | int v = 1 + co_await x;
nested-await | int v = co_await x + 1;
nested-await | bool b = co_await a < b;
nested-await | bool b = co_await x == y;
nested-await | bool b = !co_await x;
nested-await | int v = (co_await x).y;
nested-await | int v = (int)co_await x;
nested-await | int v(co_await x);
nested-await | auto v = std::move(co_await x);
nested-await | co_return f(co_await x);
nested-await | co_return -co_await x;
nested-await | co_await x, f();
nested-await | f(), co_yield v;
nested-await | s << co_yield v;
nested-await | co_yield co_await x + 1;
several-awaits nested-await | co_yield f(co_await x);
several-awaits nested-await | co_yield x, co_yield y;
nested-await owning-capture | auto l = [v = co_await x] { return v; };
in-braces | S s{"text", co_await x};
in-braces | int v{co_await x};
in-braces | auto v = S{co_await x};
in-braces | co_return {co_await x, y};
in-braces | f({.a = co_await x});
in-braces | std::vector<int> v = {co_await x};
in-new | auto p = new T(co_await x);
in-new | std::unique_ptr<T> p(new T(co_await x));
in-throw | throw co_await x;
in-throw | throw E(co_await x);
owning-capture | co_await task_group([sp](TaskGroup& tg) -> Coroutine<> { co_await tg.x(); });
owning-capture | co_await f([=] {});
owning-capture | co_yield [sp] {};
owning-capture | co_yield std::function<void()>([=] {});
owning-capture | co_await f([*this] {});
owning-capture | co_await f([x = std::move(x)]() mutable {});
owning-capture | co_await f([&, x] {});
owning-capture | co_await f([&x, y] {});
owning-capture | co_await f([args...] {});
owning-capture | co_await f(1, g([sp] {}));
owning-capture | co_await [sp] { return f(sp); }();
owning-capture | auto v = co_await f(std::function<void()>([sp] {}));
owning-capture | co_return co_await f([sp]<class T>(T t) noexcept -> std::vector<T> { return t; });
owning-capture | if (auto v = co_await f([sp] {}); v) g();
owning-capture | co_await f([&] { auto l = [sp] {}; co_await g([sp] {}); });
bad-allow | co_await x;  // coroutine-lint: allow(nested-await)
bad-allow | co_await x;  // coroutine-lint: allow(no-such-rule) because
bad-allow nested-await | f(co_await x);  // coroutine-lint: forgive me
"""

# Whole files without a finding: where bodies begin.
FILES = [
    "#define M(x) f(co_await x && y) \\\n  co_await z || a\nint i;",
    "#if A\nvoid f() {\n#else\nvoid g() {\n#endif\n  co_await x;\n}",
    "namespace a::inline v1 { class X : public Y<T> { Coroutine<> f() const { co_await x; } }; }",
    "struct X { X() : a_{1}, b_(2) { f(); } Coroutine<> g() && { co_await x; } int a_{3}; };",
    "template <class T = int, class... U> requires A<T> && B<T>\nvoid f(T&& t) { co_await x; }",
    "template <class T> auto f(T t) -> Coroutine<T> { co_await t; }",
    "template <class T> Coroutine<T> f(T t) requires C<T> { co_await t; }",
    "X& operator=(const X& x) { co_await y; }",
    "bool operator&&(A a, B b) { co_await y; }",
    "auto operator co_await() const& { return Awaiter(a && b); }",
    "BOOST_AUTO_TEST_SUITE(s)\nstruct alignas(64) F { Coroutine<> f() { co_await x; } };",
    "BOOST_AUTO_TEST_SUITE(s)\nBOOST_AUTO_TEST_CASE(c) { run([&]() -> Co { co_await x; }()); }",
    "template <class R, class... A>\nstruct F<R(A...)> : G<R()> { Co f() { co_await x; } };",
    "enum class E : int { a, b }; extern \"C\" { Coroutine<> f() { co_await x; } }",
    "class X { public: X(int); private: Coroutine<> f() noexcept(true) override { co_await x; } };",
    "[[nodiscard]] Coroutine<> f([[maybe_unused]] int a[3]) { co_await x; }",
    "auto l = [] { return 1; };\nconst S s{1, [] {}};\nCo f() try { co_await x; } catch (...) {}",
    "std::map<int, F> table = {{1, [] () -> Coroutine<> { co_await x; }}, {2, {}}};",
]

# Comments that silence a finding, and those that do not reach it.
ALLOWS = [
    ("f(co_await x);  // coroutine-lint: allow(nested-await) measured", []),
    ("// coroutine-lint: allow(nested-await) measured\nf(co_await x);", []),
    ("// coroutine-lint: allow(nested-await) measured,\n// twice\nf(a,\n  co_await x);", []),
    ("f(a,  // coroutine-lint: allow(nested-await) measured\n  co_await x);", []),
    ("if (co_await f(a && b)) g();  // coroutine-lint: allow(bare-condition,short-circuit) ok", []),
    ("f(co_await x);  // coroutine-lint: allow(in-new) wrong rule", ["nested-await"]),
    ("// coroutine-lint: allow(nested-await) one only\nf(co_await x);\nf(co_await x);",
     ["nested-await"]),
    ("f(co_await x);\n// coroutine-lint: allow(nested-await) too late\n", ["nested-await"]),
]


def rules_of(text):
    return [rule for _, rule in coroutine_lint.lint_text(text)]


def body(statement):
    return f"Coroutine<> body() {{\n{statement}\n}}\n"


class LintTest(unittest.TestCase):
    def test_good_statements_give_no_finding(self):
        for statement in GOOD.strip().splitlines():
            with self.subTest(statement):
                self.assertEqual(rules_of(body(statement)), [])

    def test_bad_statements_give_their_rules(self):
        for each in BAD.strip().splitlines():
            rules, statement = each.split(" | ", 1)
            with self.subTest(statement):
                self.assertEqual(set(rules_of(body(statement))), set(rules.split()))

    def test_every_rule_has_a_bad_statement(self):
        shown = {rule for each in BAD.strip().splitlines() for rule in each.split(" | ")[0].split()}
        self.assertEqual(shown, coroutine_lint.RULES.keys() - {"unreadable"})

    def test_bodies_are_found(self):
        for text in FILES:
            with self.subTest(text):
                self.assertEqual(rules_of(text), [])
            if "co_await x;" in text:  # and what is in them is looked at
                with self.subTest("bad: " + text):
                    broken = text.replace("co_await x;", "f(co_await x);")
                    self.assertEqual(rules_of(broken), ["nested-await"])

    def test_suppression(self):
        for text, expected in ALLOWS:
            with self.subTest(text):
                self.assertEqual(rules_of(body(text)), expected)

    def test_a_file_that_cannot_be_read_is_a_finding(self):
        self.assertEqual(rules_of("void f() { (] }"), ["unreadable"])
        self.assertEqual(rules_of("void f() {"), ["unreadable"])

    def test_lines_are_those_of_the_source(self):
        text = "/* a\n b */ auto s = R\"(\n\n)\";\n#define X \\\n  y\n" + body("\nf(co_await x);")
        self.assertEqual(coroutine_lint.lint_text(text), [(9, "nested-await")])

    def test_program(self):
        def run(*arguments):
            return subprocess.run([sys.executable, "-B", str(LINT), *arguments],
                                  capture_output=True, text=True)

        with tempfile.TemporaryDirectory() as folder:
            good = pathlib.Path(folder, "good.cpp")
            good.write_text(body("co_await x;"))
            self.assertEqual((run(folder).returncode, run(folder).stdout), (0, ""))
            bad = pathlib.Path(folder, "inner", "bad.hpp")
            bad.parent.mkdir()
            bad.write_text(body("if (co_await x) f();"))
            answer = run(folder)
            self.assertEqual(answer.returncode, 1)
            self.assertTrue(answer.stdout.startswith(f"{bad}:2: bare-condition: "), answer.stdout)
            self.assertEqual(run("--exclude", str(bad.parent), folder).returncode, 0)
            self.assertEqual(run(str(good)).returncode, 0)
        self.assertEqual(run().returncode, 2)
        self.assertEqual(run("/no/such/file.cpp").returncode, 2)
        listed = run("--list-rules")
        self.assertEqual(listed.returncode, 0)
        self.assertEqual([line.split()[0] for line in listed.stdout.splitlines()],
                         list(coroutine_lint.RULES))


if __name__ == "__main__":
    unittest.main()
