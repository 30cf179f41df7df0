import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from expt.config.quoting import is_quoted, quote, split_at_commas, unquote

TEXTS = st.text(st.sampled_from("ab'\"\\,[](){}= $:ö"), max_size=8)


@given(TEXTS)
def test_quoted_text_is_read_back(text: str) -> None:
    assert is_quoted(quote(text))
    assert unquote(quote(text)) == text
    assert OverridesParser.create().parse_override(f"x={quote(text)}").value() == text


@pytest.mark.parametrize("text", ["plain", "'open", "'a' b 'c'", "'a\\'", "'", "", "'a\""])
def test_unquoted_text_is_unchanged(text: str) -> None:
    assert not is_quoted(text)
    assert unquote(text) == text


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", [""]),
        ("a,b", ["a", "b"]),
        ("'a,b',c", ["'a,b'", "c"]),
        ("it's,that's", ["it's", "that's"]),
        ("[1,2],[3]", ["[1,2]", "[3]"]),
        ("f(x,y),{a: 1, b: 2}", ["f(x,y)", "{a: 1, b: 2}"]),
        ("['a]',b],c", ["['a]',b]", "c"]),
        ("a],b", ["a]", "b"]),
        ("(a,b", ["(a", "b"]),
        (r"a\,b,c", [r"a\,b", "c"]),
        ("a,,b", ["a", "", "b"]),
    ],
)
def test_text_is_split_at_commas_outside_quotes_and_brackets(text: str, pieces: list[str]) -> None:
    assert split_at_commas(text) == pieces
