"""CSV files in the encodings, sizes and spellings that programs produce."""

import gzip
import io
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import pytest

from expt.errors import UserError
from expt.parts.data.csv_files import normalize_text, read_table

TEXT = "name,x\ncafé,1\nthé,2\n"


def file(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be", "utf-32-be"]
)
def test_byte_order_mark_selects_the_encoding(tmp_path: Path, encoding: str) -> None:
    # Python's encodings of a given byte order write no mark.
    marked = TEXT if encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32") else "\ufeff" + TEXT
    table = read_table(file(tmp_path, marked.encode(encoding)), ",")
    assert table.to_dict("list") == {"name": ["café", "thé"], "x": ["1", "2"]}
    assert table.index.to_list() == [2, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(TEXT.encode(), mtime=0), "gzip; unpack it with gunzip"),
        (b"PK\x03\x04\x14\0rest", "a zip archive, or a spreadsheet (.xlsx)"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a spreadsheet (.xls)"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\xfd7zXZ\0\0", "compressed with xz"),
        (TEXT.encode("utf-16-le"), "UTF-16 text without a byte order mark"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not text"),
        (TEXT.encode("cp1252"), "line 2 is not UTF-8 text"),
        (TEXT.encode("cp1252"), "Windows-1252"),
        (TEXT.encode("utf-16")[:-1], "is not UTF-16"),
    ],
)
def test_files_that_are_not_text_are_reported_by_kind(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(UserError) as error:
        read_table(file(tmp_path, content), ",")
    assert message in str(error.value)


def test_large_cell_is_read(tmp_path: Path) -> None:
    cell = "z" * 200_000  # above the limit of Python's csv module, 131,072
    table = read_table(file(tmp_path, f'a,b\n{cell},1\n"{cell}\n{cell}",2\n'), ",")
    assert table["a"].to_list() == [cell, f"{cell}\n{cell}"]


def test_unclosed_quotation_mark_is_reported_with_its_line(tmp_path: Path) -> None:
    # The cell swallows the rest of the file, so that the error occurs at its end.
    rows = "".join(f"{k},y\n" for k in range(50_000))
    with pytest.raises(UserError, match=r"line 2 can't be read as CSV: .* quotation mark"):
        read_table(file(tmp_path, f'a,b\n1,"x\n{rows}'), ",")


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_likely_separator_is_suggested(tmp_path: Path, separator: str) -> None:
    # A decimal comma makes the rows look like two columns.
    path = file(tmp_path, f"temp{separator}y\n22,25{separator}1\n")
    shown = separator.replace("\t", r"\t")
    with pytest.raises(UserError) as error:
        read_table(path, ",")
    assert f"the header 1. It is separated by '{shown}': data.separator='{shown}'." in str(
        error.value
    )


def test_blank_lines_are_skipped_but_counted(tmp_path: Path) -> None:
    table = read_table(file(tmp_path, "\n  \na,b\n\n1,2\n   \n\t\n3,4\n"), ",")
    assert table.to_dict("list") == {"a": ["1", "3"], "b": ["2", "4"]}
    assert table.index.to_list() == [5, 8]  # lines of the file


def test_blank_line_of_a_single_column_is_a_missing_value(tmp_path: Path) -> None:
    table = read_table(file(tmp_path, 'a\n1\n""\n3\n'), ",")
    assert table["a"].to_list() == ["1", "", "3"]


@pytest.mark.parametrize(
    "text",
    [
        "café",
        unicodedata.normalize("NFD", "café"),
        " café\t",
        "\u00a0café\u202f",
        "\ufeff café \u200b",
        "caf\u200bé",
    ],
)
def test_texts_that_look_alike_are_equal(tmp_path: Path, text: str) -> None:
    assert normalize_text(text) == "café"
    table = read_table(file(tmp_path, f"{text},x\n{text},1\n"), ",")
    assert table.columns.to_list() == ["café", "x"]
    assert table["café"].to_list() == ["café"]


def test_inner_spaces_are_normalized_but_case_is_kept() -> None:
    assert normalize_text("no\u00a0risk") == normalize_text("no risk")
    assert (
        len({normalize_text(text) for text in ("TRUE", "True", "no risk", "norisk", "01", "1")})
        == 6
    )


def test_missing_values_are_counted_by_spelling(tmp_path: Path) -> None:
    path = file(tmp_path, "a,b\nNA,1\nna,\n ,None\nx,2\n")
    table = read_table(path, ",")
    assert table.to_dict("list") == {"a": ["", "", "", "x"], "b": ["1", "", "", "2"]}
    assert table.attrs["missing_texts"] == {"a": {"NA": 1, "na": 1}, "b": {"None": 1}}


@pytest.mark.parametrize(
    ("na_values", "expected"),
    [
        ([], ["NA", "na", "", "-999"]),
        (["NA"], ["", "na", "", "-999"]),
        ([-999, "na"], ["NA", "", "", ""]),
    ],
)
def test_na_values_replace_the_default_texts(
    tmp_path: Path, na_values: list[str], expected: list[str]
) -> None:
    path = file(tmp_path, 'a\nNA\nna\n""\n-999\n')
    assert read_table(path, ",", na_values)["a"].to_list() == expected


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO(TEXT.encode("utf-16"))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=content))
    assert read_table(Path("-"), ",")["name"].to_list() == ["café", "thé"]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"a,b\n\xff,1\n")))
    with pytest.raises(UserError, match="the text is not UTF-8 text"):
        read_table(Path("-"), ",")


def test_long_list_of_repeated_names_is_shortened(tmp_path: Path) -> None:
    names = ",".join(f"c{k}" for k in range(1000))
    with pytest.raises(UserError, match=r"repeats .* and 990 more; expected"):
        read_table(file(tmp_path, f"{names},{names}\n"), ",")
