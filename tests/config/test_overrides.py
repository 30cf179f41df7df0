import re
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from expt.config.compose import compose_jobs
from expt.config.grid import expand
from expt.config.overrides import LISTS_OF_TEXTS, TEXTS, normalize
from expt.config.schema import Config
from expt.errors import UserError

CSV = ("data=csv", "data.path=x.csv", "data.target=y")
PRINTABLE = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
# Text that keeps its meaning in Hydra: quotes around the whole text, interpolations, function
# calls, escapes, and OmegaConf's ???.
HAS_MEANING_IN_HYDRA = re.compile(
    r"""\s*(['"].*['"]|\w+\s*\(.*\))\s*|.*\$\{.*|.*\\[\\()\[\]{}:=, ].*|\?\?\?""", re.DOTALL
)


def read(override: str, *, multirun: bool = False) -> Any:
    """Returns the value that Hydra reads from the normalized override."""
    [normalized] = normalize([override], multirun)
    return OverridesParser.create().parse_override(normalized).value()


def composed(*overrides: str) -> Config:
    (job,), _ = compose_jobs(list(overrides), None, multirun=False)
    return job.config


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("data.separator", ";"),
        ("data.separator", ","),
        ("data.separator", " "),
        ("data.separator", "|"),
        ("data.target", "Größe"),
        ("data.target", "价格"),
        ("data.target", "petal width (cm)"),
        ("data.target", "width(cm)"),
        ("data.target", "[K]"),
        ("data.target", "a,b"),
        ("data.target", "a=b"),
        ("data.target", 'the 5" one'),
        ("data.target", "it's"),
        ("data.target", "#1: 50% @ home!"),
        ("data.target", "1"),
        ("data.target", "1e5"),
        ("data.target", "1_000"),
        ("data.target", "007"),
        ("data.target", "true"),
        ("data.target", "nan"),
        ("data.thousands", ","),
        ("data.thousands", "."),
        ("data.thousands", " "),
        ("data.thousands", "'"),
        ("data.target", " padded "),
        ("data.path", "~/data/mnist"),
        ("data.path", "/a b/it's/{x}=[1,2]%@,(3).csv"),
        ("data.path", "C:\\data\\table.csv"),
        ("data.path", "2024"),
        ("output_dir", "~/x"),
        ("name", "1e5"),
    ],
)
def test_names_and_paths_are_text_as_typed(key: str, text: str) -> None:
    config = OmegaConf.create(composed(*CSV, f"{key}={text}").to_mapping())
    assert OmegaConf.select(config, key) == text


@given(
    st.text(PRINTABLE, max_size=12)
    | st.text(st.sampled_from("a1,'\"[]{}()=:~ \\$%.eE-_"), max_size=8)
)
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_as_typed(text: str) -> None:
    assume(not HAS_MEANING_IN_HYDRA.fullmatch(text) and text.strip().lower() != "null")
    assert read(f"data.target={text}") == text


@given(st.lists(st.text(PRINTABLE, min_size=1, max_size=6), min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_any_list_of_texts_is_read_as_typed(names: list[str]) -> None:
    names = [name.strip() for name in names]
    assume(all(names) and not any(re.search(r"[\\,\[\](){}'\"]|\$\{", name) for name in names))
    assert read(f"data.ignore=[{', '.join(names)}]") == names


@given(
    st.sampled_from(sorted(TEXTS | LISTS_OF_TEXTS | {"seed", "act", "+x", "model.units"})),
    st.text(PRINTABLE, max_size=8) | st.text(st.sampled_from("a1,'\"[]{}()=:~ \\$"), max_size=8),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_normalization_is_idempotent(key: str, text: str, multirun: bool) -> None:
    once = normalize([f"{key}={text}"], multirun)
    assert normalize(once, multirun) == once


@pytest.mark.parametrize(
    "override",
    [
        *("model.units=[1,2]", "model.units=[1, 2]", "act=relu", "seed=0", "seed=1,2", "x.y='a b'"),
        *("seed=range(0,3)", "act=choice(relu,tanh)", "act=glob(s*)", "~data.target", "~seed=0"),
        *("+x=1", "++x=null", "name=", "loop.steps=null", "data.weight=null", "name=${seed}"),
        *("data.path=a/b.csv", "data.target='a b'", 'data.target="a b"', r"data.path=a\,b\ c"),
        *("data.target=${oc.env:HOME}", "data.ignore=[]", "data.ignore=[a,b]", "name=str(1)"),
        *("data.augment={flip:true,shift:4}", "optimizer.learning_rate=1e-3", "data.path=null"),
        *("data.target=null", "data.target='null'", "data.thousands=null"),
    ],
)
@pytest.mark.parametrize("multirun", [False, True])
def test_valid_override_is_unchanged(override: str, multirun: bool) -> None:
    assert normalize([override], multirun) == [override]


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("data.target=Größe,价格", ["Größe", "价格"]),
        ("data.target=petal width (cm), a", ["petal width (cm)", "a"]),
        ("data.target=1,1e5", ["1", "1e5"]),
        ("data.target=temp (a,b),c", ["temp (a,b)", "c"]),
        ("data.target='a,b',c=d", ["a,b", "c=d"]),
        ("data.target=choice(Größe,b)", ["Größe", "b"]),
        ("data.path=~/a.csv,~/b c.csv", ["~/a.csv", "~/b c.csv"]),
        ("data.weight=null,Größe", [None, "Größe"]),
        ("data.target=null,Größe", [None, "Größe"]),
        ("data.ignore=[1],[2,true]", [["1"], ["2", "true"]]),
        ("name=ä,b", ["ä", "b"]),
        ("loop.watch=val/ä,null", ["val/ä", None]),
        ("act=relu,relü", ["relu", "relü"]),
        ("act=choice('relü',b)", ["relü", "b"]),
        ("data.target=choice('1','a b')", ["1", "a b"]),
        ("data.target=range(1,3)", ["1", "2"]),
    ],
)
def test_commas_separate_values_in_sweep(override: str, values: list[Any]) -> None:
    parsed = OverridesParser.create().parse_overrides(normalize([override], multirun=True))
    jobs = [job for [job] in expand(parsed, zipped=None)]
    assert [read(job) for job in jobs] == values


def test_text_keys_of_csv_are_listed() -> None:
    """Every key of csv.yaml with text must be in `TEXTS` or `LISTS_OF_TEXTS`."""
    other = {"task", "duplicates", "missing"}  # words
    other |= {"batch_size", "split_seed", "split"}  # numbers
    options = {key for key, value in composed(*CSV).data.items() if not isinstance(value, bool)}
    assert {f"data.{key}" for key in options - other - {"_target_"}} <= TEXTS | LISTS_OF_TEXTS


def test_comma_can_be_separator_in_sweep() -> None:
    assert read("data.separator=,", multirun=True) == ","


def test_jobs_of_sweep_have_texts_as_typed() -> None:
    given = [*CSV, "data.target=Größe,petal width (cm)", "seed=0,1"]
    jobs, _ = compose_jobs(given, None, multirun=True)
    found = [(job.config.data["target"], job.config.seed) for job in jobs]
    assert found == [(name, seed) for name in ("Größe", "petal width (cm)") for seed in (0, 1)]
    assert jobs[2].overrides[2:] == ("data.target='petal width (cm)'", "seed=0")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.units=[1,2", r"\[ is not closed by \]"),
        ("data.ignore=[1,true", r"\[ is not closed by \]"),
        ("data.augment={flip: true", r"\{ is not closed by \}"),
        ("act=choice(relu,tanh", r"\( is not closed by \)"),
        ("seed='3", "' is not closed at the end"),
        ("model.units=[1,2],[3", r"\[ is not closed by \]"),
        ("dätä.target=x", "not of the form key=value"),
        ("data.target", "not of the form key=value"),
        ("name='a\udcff'", r"name='a\\udcff'.* is not valid UTF-8"),
    ],
)
def test_grammar_error_is_rejected(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        composed(override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=3;", "seed=3;: expected a whole number"),
        ("act=relü", "act=relü: there is no such option. Did you mean 'relu'"),
        ("optimizer.lr=ö", "optimizer.lr=.ö.: there is no key 'lr'"),
        ("loop.epochs=(3)", r"loop.epochs=\(3\): expected a whole number"),
    ],
)
def test_text_of_wrong_type_is_rejected_by_key(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        composed(override)
