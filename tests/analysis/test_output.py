"""Tests of the outputs of a comparison: terminal, files, plots, report, and summary of a sweep."""

import base64
import csv
import hashlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from rich.console import Console
from scipy import stats

import expt.analysis
from analysis.made_runs import write_image, write_journal, write_run, write_sweep
from expt.analysis.compared_run import read_compared
from expt.analysis.files import write_csv, write_json, write_markdown, write_note
from expt.analysis.output import summarize_sweep
from expt.analysis.page import write_page
from expt.analysis.plots import draw_plots
from expt.analysis.table import Comparison, compare
from expt.analysis.terminal import print_comparison
from expt.analysis.verdict import headline

EVIL = "<script>alert(1)</script>\x1b[31m|$x^{$"
VALUES = {"relu": [0.30, 0.41, 0.50], "tanh": [0.31, 0.40, 0.52], "gelu": [0.91, 1.02, 1.1]}


def comparison_of(folder: Path, **options: Any) -> Comparison:
    runs = [read_compared(file.parent) for file in sorted(folder.rglob("run.json"))]
    return compare(runs, **options)


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """A comparison of three variants with three seeds each, and a failed run."""
    named = [({"act": act}, column) for act, column in VALUES.items()]
    write_sweep(tmp_path, named, "val/loss")
    write_run(tmp_path / "x", {"act": "relu"}, status="FAILED", error="ValueError: why", seed=7)
    for directory in tmp_path.iterdir():
        write_journal(directory, [{"step": s, "val/loss": 1.0 / s} for s in (1, 2, 3)])
    return comparison_of(tmp_path)


def shown(comparison: Comparison, width: int, title: str = "title") -> str:
    console = Console(file=io.StringIO(), width=width)
    print_comparison(console, comparison, title)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class TestTerminal:
    def test_result_table_and_unfinished_runs_are_printed(self, comparison: Comparison) -> None:
        text = shown(comparison, 200)
        assert text.splitlines()[0].startswith(
            "act=relu has the lowest val/loss (best checkpoint): "
        )
        assert "\ntitle: 10 runs, 3 variants\n" in text
        best = next(line for line in text.splitlines() if "★" in line)
        mean, deviation = np.mean(VALUES["relu"]), np.std(VALUES["relu"], ddof=1)
        assert best.split()[1:4] == ["act=relu", f"{mean:.3f}", "±"]
        assert re.search(rf"{deviation:.3f}  3/4 +–  +–  best ", best)
        assert best.split()[-6:] == ["25", "4.0", "s", "1,000", "500", "MB"]
        assert re.search(r"act=tanh .* 1\.00  inconclusive", text)
        assert re.search(r"act=gelu .* \+0\.\d{3} ± 0\.\d{3} +<?0\.00\d  worse", text)
        assert "p, Holm  verdict" in text
        assert re.search(r"FAILED  x  step 50  val/loss 0.5 .*\n        ValueError: why *\n", text)

    def test_single_seeds_have_a_difference_and_no_interval(self, tmp_path: Path) -> None:
        named = [({"act": "relu"}, [0.3]), ({"act": "tanh"}, [0.4])]
        write_sweep(tmp_path, named, "val/loss")
        text = shown(comparison_of(tmp_path), 200)
        assert re.search(r" n  difference  p  verdict", text)
        assert re.search(r"act=tanh .* 1 +\+0\.1000  –  not tested", text)

    def test_the_p_value_of_one_pair_is_not_called_corrected(self, tmp_path: Path) -> None:
        named = [({"act": act}, VALUES[act]) for act in ("relu", "gelu")]
        write_sweep(tmp_path, named, "val/loss")
        assert re.search(r" p  verdict  ", shown(comparison_of(tmp_path), 200))

    def test_only_the_best_variant_is_colored(self, comparison: Comparison) -> None:
        """A second color would suggest that a difference without significance means something."""
        console = Console(file=io.StringIO(), width=120, force_terminal=True)
        print_comparison(console, comparison, "title")
        assert isinstance(console.file, io.StringIO)
        rows = [
            line for line in console.file.getvalue().splitlines() if "act=" in line and "±" in line
        ]
        rows = [line for line in rows if "the nearest" not in line and "(n =" not in line]
        colored = [line for line in rows if "\x1b[1;32m" in line]
        assert len(rows) == 3
        assert len(colored) == 1
        assert "act=relu" in colored[0]

    @pytest.mark.parametrize("width", [60, 80, 100, 160])
    def test_lines_fit_the_width(self, comparison: Comparison, width: int) -> None:
        text = shown(comparison, width)
        lines = [line for line in text.splitlines() if "pytest-" not in line]
        # Paths are longer: they stay whole, so that they can be copied.
        assert max(map(cell_len, lines)) <= width
        assert "relu" in text
        assert ("Not shown for lack of space" in text) == (width < 160)

    @pytest.mark.parametrize("width", [40, 60, 80, 120])
    def test_lines_with_many_long_parameters_fit_the_width(
        self, tmp_path: Path, width: int
    ) -> None:
        for number in range(12):
            params = {
                "act": "leaky_relu_with_a_long_name" if number % 2 else "活性化関数" * 3,
                "optimizer.learning_rate_of_the_last_layer": 0.001 * (1 + number // 2),
                "model.number_of_units_in_each_layer": [128, 256, number],
                "loss.label_smoothing_of_the_training_split": number / 10,
            }
            values = {"val/accuracy": 0.9 + number / 1000, "val/a_metric_with_a_long_name": 12345.6}
            for seed in (0, 1):
                folder = tmp_path / f"{number}-{seed}"
                write_run(folder, params, seed=seed, values=values | {"val/loss": 1 + seed / 10})
        text = shown(comparison_of(tmp_path, leading="val/loss"), width)
        lines = text.splitlines()
        assert max(map(cell_len, lines)) <= width
        rows = [index for index, line in enumerate(lines) if line.startswith(("★ ", "  act="))]
        assert len(rows) == 12
        # A column squeezed to one character would take a line for each letter.
        assert all(next_ - row <= 12 * 40 / width for row, next_ in pairwise(rows))
        assert text.count("inconclusive") >= 11

    def test_rows_without_the_metric_are_left_out_and_counted(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a", {"act": "relu"})
        write_run(tmp_path / "b", {"act": "tanh", "model": "autoencoder"}, values={"val/mse": 1.0})
        text = shown(comparison_of(tmp_path, leading="val/accuracy"), 80)
        assert "1 more variant has no finished run with val/accuracy and is left out." in text
        assert "autoencoder" not in text

    def test_unfinished_runs_are_printed_with_name_and_directory(self, tmp_path: Path) -> None:
        fields: dict[str, Any] = {
            "status": "FAILED",
            "error": "ValueError: why",
            "run_name": "cnn-relu-lr0.01-s0",
        }
        write_run(tmp_path / "22-56-42_c5fb6b5d", **fields)
        text = shown(comparison_of(tmp_path), 80)
        assert "FAILED  cnn-relu-lr0.01-s0  step 50" in text
        assert "22-56-42_c5fb6b5d" in text  # the directory

    def test_only_the_first_of_many_rows_are_printed(self, tmp_path: Path) -> None:
        for number in range(60):
            write_run(tmp_path / str(number), {"optimizer.learning_rate": float(number)})
        text = shown(comparison_of(tmp_path), 150)
        assert "10 more variants" in text
        assert len(text.splitlines()) < 62

    def test_control_characters_and_markup_are_not_interpreted(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a", {"act": f"[bold]{EVIL}"}, error=EVIL, status="FAILED")
        write_run(tmp_path / "b")
        write_run(tmp_path / "c", {"act": f"[bold]{EVIL}"})
        text = shown(comparison_of(tmp_path), 200, title="[red]title")
        assert "\n[red]title: 3 runs" in text
        assert "\x1b" not in text
        assert "[bold]<script>" in text


class TestFiles:
    def test_csv_has_all_numbers_in_full_precision(
        self, comparison: Comparison, tmp_path: Path
    ) -> None:
        write_csv(comparison, tmp_path / "x.csv", "title")
        with (tmp_path / "x.csv").open(newline="") as file:
            rows = {row["act"]: row for row in csv.DictReader(file)}
        low, high = stats.t.interval(0.95, 2, np.mean(VALUES["gelu"]), stats.sem(VALUES["gelu"]))
        gelu = rows["gelu"]
        assert float(gelu["val/loss mean"]) == pytest.approx(np.mean(VALUES["gelu"]))
        assert float(gelu["val/loss low"]) == pytest.approx(low)
        assert float(gelu["val/loss high"]) == pytest.approx(high)
        assert (gelu["best"], gelu["seeds"], gelu["test"]) == ("0", "0 1 2", "paired")
        assert float(gelu["difference"]) == pytest.approx(
            np.mean(VALUES["gelu"]) - np.mean(VALUES["relu"])
        )
        p = stats.ttest_rel(VALUES["gelu"], VALUES["relu"]).pvalue
        assert float(gelu["p"]) == pytest.approx(p)
        assert p <= float(gelu["p_corrected"]) < 0.05
        assert 0 < float(gelu["difference_low"]) < float(gelu["difference"])
        assert (gelu["verdict"], rows["tanh"]["verdict"]) == ("worse", "inconclusive")
        assert rows["relu"]["best"] == "1"
        assert float(gelu["peak_memory"]) == 5e8

    def test_json_has_variants_runs_and_effects(
        self, comparison: Comparison, tmp_path: Path
    ) -> None:
        write_json(comparison, tmp_path / "x.json", "title")
        content = json.loads((tmp_path / "x.json").read_text())
        assert content["metric"] == "best/val/loss"
        assert [run["reason"] for run in content["unfinished"]] == ["ValueError: why"]
        relu, _, gelu = content["variants"]
        assert (relu["verdict"], relu["against_best"]) == ("best", None)
        assert gelu["against_best"]["p_corrected"] >= gelu["against_best"]["p"]
        assert content["headline"].startswith("act=relu has the lowest")
        assert content["replicates"] == ["seed"]
        (effect,) = content["effects"]
        assert (effect["parameter"], effect["blocks"]) == ("act", 3)
        assert [one["verdict"] for one in effect["values"]] == ["worse", "best", "inconclusive"]
        assert [run["counts"] for run in relu["runs"]] == [True, True, True, False]
        assert relu["metrics"]["val/loss"]["n"] == 3

    def test_markdown_has_result_table_and_failures(
        self, comparison: Comparison, tmp_path: Path
    ) -> None:
        write_markdown(comparison, tmp_path / "x.md", "a|title")
        lines = (tmp_path / "x.md").read_text().splitlines()
        assert lines[0] == "# a\\|title"
        assert lines[2].startswith("act=relu has the lowest val/loss ")
        assert lines[4].startswith("|  | act | best val/loss, mean ± 95 % |")
        assert len({line.count("|") for line in lines[4:9]}) == 1
        assert any("FAILED" in line for line in lines)

    def test_note_has_the_most_important_columns(
        self, comparison: Comparison, tmp_path: Path
    ) -> None:
        write_note(comparison, tmp_path / "x.md")
        first, _, heading, _, best, *rest = (tmp_path / "x.md").read_text().splitlines()
        assert first.startswith("act=relu has the lowest val/loss ")
        titles = ["", "act", "best val/loss, mean ± 95 %", "std", "n"]
        titles += ["difference ± 95 %", "p, Holm", "verdict"]
        assert heading == f"| {' | '.join(titles)} |"
        assert best.startswith("| ★ | relu | ")
        assert rest[1].startswith("|  | gelu | ")
        assert rest[-1] == "Not included in the means: 1 FAILED."

    def test_note_has_the_first_of_many_variants(self, tmp_path: Path) -> None:
        for number in range(60):
            write_run(tmp_path / str(number), {"optimizer.learning_rate": float(number)})
        write_note(comparison_of(tmp_path), tmp_path / "x.md")
        lines = (tmp_path / "x.md").read_text().splitlines()
        assert sum(line.startswith("|") for line in lines) == 2 + 20
        assert "40 more variants are in table.md." in lines

    def test_outputs_are_written_without_a_finished_run(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a", status="FAILED", final=None, best=None)
        found = comparison_of(tmp_path)
        for write in (write_csv, write_json, write_markdown):
            write(found, tmp_path / "x", "title")
        write_note(found, tmp_path / "x")
        assert list(draw_plots(found)) == []
        write_page(found, tmp_path / "x.html", "title")


class TestPlots:
    def test_curves_effects_and_heat_maps_are_drawn(self, tmp_path: Path) -> None:
        grid = [
            ({"act": act, "optimizer.learning_rate": rate}, [rate + 0.1, rate + 0.2])
            for act in ("relu", "tanh")
            for rate in (0.001, 0.01, 0.1)
        ]
        write_sweep(tmp_path, grid, "val/loss")
        for directory in tmp_path.iterdir():
            write_journal(directory, [{"step": s, "val/loss": 1.0 / s} for s in (1, 2, 3)])
        found = {name: png for name, _, png in draw_plots(comparison_of(tmp_path))}
        assert list(found) == [
            "curves",
            "effect_optimizer.learning_rate",  # the larger effect
            "effect_act",
            "heatmap_optimizer.learning_rate_act",
        ]
        for png in found.values():
            image = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
            assert image.std() > 5  # not blank

    def test_file_names_of_plots_are_safe(self, tmp_path: Path) -> None:
        for folder, name in (("a", "../../a$x^{$"), ("b", EVIL)):
            write_run(tmp_path / folder, {"act": name, name: name})
        names = [name for name, _, _ in draw_plots(comparison_of(tmp_path))]
        assert len(names) > 1
        assert all(re.fullmatch(r"[\w.+-]+", name) for name in names)

    def test_a_single_run_has_only_curves(self, tmp_path: Path) -> None:
        write_journal(write_run(tmp_path), [{"step": 1, "val/loss": 1.0}])
        assert [name for name, _, _ in draw_plots(comparison_of(tmp_path))] == ["curves"]


class Page(HTMLParser):
    """A parser that records the tags of a page with their attributes, and the text by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.tags[-1][0] if self.tags else "", []).append(data)


def page_of(comparison: Comparison, folder: Path, title: str = "title") -> Page:
    write_page(comparison, folder / "x.html", title)
    return Page((folder / "x.html").read_text(encoding="utf-8"))


def digest_of(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


class TestPage:
    def test_the_report_loads_nothing_from_outside(
        self, comparison: Comparison, tmp_path: Path
    ) -> None:
        write_image(tmp_path / "0_job", "val/predictions", 4, (0, 0, 0))
        page = page_of(comparison, tmp_path)
        sources = [a["src"] for tag, a in page.tags if tag == "img" and "src" in a]
        assert len(sources) == 1
        assert all(source and source.startswith("data:image/webp;base64,") for source in sources)
        assert not {"link", "iframe", "object", "a"} & {tag for tag, _ in page.tags}
        assert all("src" not in attributes for tag, attributes in page.tags if tag == "script")
        assert "http://" not in (tmp_path / "x.html").read_text()

    def test_the_policy_allows_only_the_scripts_and_styles_of_the_report(
        self, comparison: Comparison, tmp_path: Path
    ) -> None:
        page = page_of(comparison, tmp_path)
        (policy,) = (a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
        types = [a.get("type") for tag, a in page.tags if tag == "script"]
        assert types == ["application/json", None, None]  # the first one is data
        _, library, script = filter(str.strip, page.texts["script"])
        style = page.texts["style"][0]
        assert policy == (
            f"default-src 'none'; img-src data:; style-src {digest_of(style)}; "
            f"script-src {digest_of(library)} {digest_of(script)}"
        )

    def test_the_chart_library_is_included_with_its_licence(
        self, comparison: Comparison, tmp_path: Path
    ) -> None:
        folder = Path(expt.analysis.__file__).parent / "vendor" / "uplot"
        version = re.search(r"^# uPlot (\S+)$", (folder / "README.md").read_text(), re.M)
        assert version is not None
        texts = page_of(comparison, tmp_path).texts["script"]
        library = next(text for text in texts if text.startswith("/*!"))
        assert f"uPlot (v{version[1]})" in library.splitlines()[0]
        assert "MIT" in (folder / "LICENSE").read_text()

    def test_recorded_values_are_escaped(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a", {"act": EVIL, f'"{EVIL}': 1}, error=EVIL, status="FAILED")
        evil = tmp_path / "<b onclick=x>"
        write_run(evil, {"act": f'" onload="{EVIL}'})
        write_image(evil, "val/'><b>", 1, (9, 9, 9))
        text = page_of(comparison_of(tmp_path), tmp_path, title=EVIL)
        tags = [tag for tag, _ in text.tags]
        assert tags.count("script") == 3
        assert "b" not in tags
        data = json.loads(text.texts["script"][0])
        assert data["variants"][0]["label"] == "all runs"
        assert not any(key.startswith("on") for _, a in text.tags for key in a)
        assert EVIL[:20] not in (tmp_path / "x.html").read_text()

    def test_the_first_sentence_of_the_headline_is_bold(
        self, comparison: Comparison, tmp_path: Path
    ) -> None:
        page = page_of(comparison, tmp_path)
        first, end, rest = headline(comparison).partition(". ")
        assert page.texts["strong"] == [first + end, f"{rest}", "\n"]

    def test_only_the_best_row_is_highlighted(self, comparison: Comparison, tmp_path: Path) -> None:
        page = page_of(comparison, tmp_path)
        rows = [a.get("class") for tag, a in page.tags if tag == "tr" and "class" in a]
        assert rows == ["best", "", ""]  # only the best variant is highlighted
        assert "val/" in page.texts["th"]  # the heading may be broken after the slash
        assert "ValueError: why" in page.texts["td"]


@pytest.mark.parametrize(
    ("arguments", "slow"),
    [
        ((), {"tensorflow", "keras", "mlflow", "sklearn", "matplotlib", "hydra", "omegaconf"}),
        (("--html", "x.html"), {"tensorflow", "keras", "mlflow", "sklearn", "matplotlib"}),
        (("--plots", "x"), {"tensorflow", "keras", "mlflow", "sklearn", "matplotlib.pyplot"}),
    ],
)
def test_compare_runs_without_slow_libraries(
    arguments: tuple[str, ...], slow: set[str], tmp_path: Path
) -> None:
    write_journal(write_run(tmp_path / "outputs" / "a"), [{"step": 1, "val/loss": 1.0}])
    code = (
        "import sys, expt.compare\n"
        "assert expt.compare._run(sys.argv[1:]) == 0\n"
        f"print(sorted({slow} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"


class TestSummary:
    def test_the_summary_of_a_sweep_has_all_files(self, tmp_path: Path) -> None:
        sweep, target = tmp_path / "sweep", tmp_path / "a" / "summary"
        write_sweep(sweep, [({"act": act}, column) for act, column in VALUES.items()], "val/loss")
        written = summarize_sweep(sweep, target)
        assert written == [
            target / name
            for name in ("note.md", "table.csv", "table.md", "plots/effect_act.png", "report.html")
        ]
        assert sorted(path for path in target.rglob("*") if path.is_file()) == sorted(written)
        rows = list(csv.DictReader((target / "table.csv").read_text().splitlines()))
        assert [row["act"] for row in rows] == ["relu", "tanh", "gelu"]
        assert "★ | relu" in (target / "table.md").read_text()
        assert json.loads(Page((target / "report.html").read_text()).texts["script"][0])["effects"]

    def test_a_sweep_without_a_finished_run_is_summarized(self, tmp_path: Path) -> None:
        write_run(tmp_path / "0", status="FAILED", error="ValueError: why", values={}, best=None)
        names = [path.name for path in summarize_sweep(tmp_path, tmp_path / "summary")]
        assert names == ["note.md", "table.csv", "table.md", "report.html"]
        assert "ValueError: why" in (tmp_path / "summary" / "table.md").read_text()

    def test_neither_tensorflow_nor_mlflow_is_imported(self) -> None:
        code = "import sys, expt.analysis.output; print({*sys.modules} & {'tensorflow','mlflow'})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout == "set()\n"
