"""Canonical text and imports of a module's source."""

import ast
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expt.config.syntax import canonical_text, find_dynamic_imports, find_imports

SOURCE = '''
"""Losses."""
import tensorflow as tf
from . import scale

LIMIT = 1e-7
"""The smallest probability."""


class Smooth:
    """A loss."""

    def __call__(self, targets, outputs, *, power: float = 2.0):
        """The formula."""
        if power > 2:
            pass
        for name, value in {"a": 1, **scale.VALUES}.items():
            targets += value
        return f"{targets:.{2}f}", outputs[1:-1] ** power, b"x", ..., 1j
'''


def canonical_of(source: str) -> str:
    return canonical_text(ast.parse(textwrap.dedent(source)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1  # why"),
        ("x = 1", "\n\nx  =  1\n"),
        ("x = (1)", "x = 1"),
        ("x = [1, 2]", "x = [\n    1,\n    2,\n]"),
        ("x = 'a'", 'x = "a"'),
        ("x = 'ab'", 'x = "a" "b"'),
        ("x = 'a'", "x = u'a'"),
        ("x = 1_000", "x = 1000"),
        ("x = 0x10", "x = 16"),
        ("x = 1", '"""About."""\nx = 1'),
        ("def f(): return 1", 'def f():\n    """One."""\n    return 1'),
        ("class A: x = 1", 'class A:\n    """One."""\n    x = 1\n    """About x."""'),
        ("def f(): pass", 'def f():\n    """Nothing."""'),
        ("def f(): ...", "def f(): pass"),
        ("async def f(): return 1", "async def f():\n    'One.'\n    return 1"),
        ("", '"""Nothing but a docstring."""  # and this'),
    ],
)
def test_layout_comments_and_docstrings_do_not_count(one: str, other: str) -> None:
    assert canonical_of(one) == canonical_of(other)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1e-7", "1e-8"),
        ("power > 2", "power >= 2"),
        ("** power", "* power"),
        ("float = 2.0", "float = 2"),
        ("*, power", "power"),
        ("from . import", "from .. import"),
        ("import scale", "import scale as scale2"),
        ("targets +=", "targets -="),
        ("1:-1", "1:1"),
        ('b"x"', '"x"'),
        ("...", "None"),
        ("1j", "1"),
        (".{2}f", ".{3}f"),
        ('"a": 1, **', '"a": True, **'),
        ("class Smooth", "class Smoother"),
        ("        if power > 2:\n            pass\n", ""),
        ("    def __call__", "    @property\n    def __call__"),
    ],
)
def test_executed_code_counts(before: str, after: str) -> None:
    assert before in SOURCE
    assert canonical_of(SOURCE) != canonical_of(SOURCE.replace(before, after))


def test_text_of_empty_module_is_empty() -> None:
    assert canonical_of('"""Parts."""\n\n# none yet\n') == ""


def test_text_is_equal_in_all_python_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty fields are left out, because newer versions of Python have more of them."""
    function = ast.parse("def f(a, *, b=None): return a").body[0]
    assert isinstance(function, ast.FunctionDef)
    vars(function)["type_params"] = []  # of Python 3.12
    monkeypatch.setattr(ast.FunctionDef, "_fields", (*function._fields, "type_params"))
    with_more = canonical_text(ast.Module([function], []))
    assert with_more == canonical_of("def f(a, *, b=None): return a")
    assert with_more == (
        "FunctionDef(name='f',args=arguments(args[arg(arg='a',)]kwonlyargs[arg(arg='b',)]"
        "kw_defaults[Constant()])body[Return(value=Name(id='a',))])"
    )
    assert canonical_of("x = 'é\u20ac\U0001fae8'") == (
        "Assign(targets[Name(id='x',)]value=Constant(value='\\xe9\\u20ac\\U0001fae8',))"
    )


def test_long_sum_does_not_exceed_recursion_limit() -> None:
    assert canonical_of("x = " + " + ".join(["1"] * 900)).count("BinOp(") == 899


NAMES = st.sampled_from(["a", "b", "c"])
EXPRESSIONS = st.recursive(
    st.one_of(
        NAMES,
        st.integers().map(str),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.text(max_size=3).map(repr),
        st.binary(max_size=2).map(repr),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} + {pair[1]})"),
        st.tuples(NAMES, inner).map(lambda pair: f"{pair[0]}({pair[1]})"),
    ),
    max_leaves=6,
)


@given(st.lists(st.tuples(NAMES, EXPRESSIONS), max_size=4), st.data())
@settings(max_examples=50, deadline=None)
def test_texts_are_equal_if_and_only_if_trees_are_equal(
    statements: list[tuple[str, str]], data: st.DataObject
) -> None:
    source = "".join(f"{name} = {value}\n" for name, value in statements)
    tree = ast.parse(source)
    commented = "".join(f"# {n}\n{n}  =  ({v})  # {n}\n\n" for n, v in statements)
    assert canonical_of(commented) == canonical_text(tree) == canonical_of(ast.unparse(tree))
    others = data.draw(st.lists(st.tuples(NAMES, EXPRESSIONS), max_size=4))
    other = ast.parse("".join(f"{name} = {value}\n" for name, value in others))
    assert (canonical_text(other) == canonical_text(tree)) is (ast.dump(other) == ast.dump(tree))


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b.c as d, e", {"a.b.c", "e"}),
        ("from a.b import c as d", {"a.b", "a.b.c"}),
        ("from a import *", {"a"}),
        ("from . import c", {"pkg.sub", "pkg.sub.c"}),
        ("from .c import d", {"pkg.sub.c", "pkg.sub.c.d"}),
        ("from .. import c", {"pkg", "pkg.c"}),
        ("from ..c.d import e", {"pkg.c.d", "pkg.c.d.e"}),
        ("from .... import c", set()),
        ("def f():\n    import a", {"a"}),
        ("try:\n    import a\nexcept ImportError:\n    import b\nelse:\n    import c", set("abc")),
        ("if x:\n    import a\nelif y:\n    import b\nelse:\n    import c", set("abc")),
        ("match x:\n    case 1:\n        import a", {"a"}),
        ("with x:\n    class A:\n        import a", {"a"}),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", {"b"}),
        ("if typing.TYPE_CHECKING:\n    import a", set()),
    ],
)
def test_imports_are_found(source: str, names: set[str]) -> None:
    tree = ast.parse(source)
    assert set(find_imports(tree, "pkg.sub.module", is_package=False)) == names


def test_imports_of_package_are_relative_to_it() -> None:
    tree = ast.parse("from .c import d\n__all__ = ['e', *others]")
    assert set(find_imports(tree, "pkg", is_package=True)) == {"pkg.c", "pkg.c.d", "pkg.e"}


def test_dynamic_imports_are_found() -> None:
    tree = ast.parse(
        "importlib.import_module('a.b')\nx = [__import__('c')]\nimport_module(f'{x}.d')\nf('e')"
    )
    assert set(find_dynamic_imports(tree)) == {"a.b", "c"}
