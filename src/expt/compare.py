"""`python -m expt.compare [DIR…] [KEY=VALUE…]`: compares the settings and results of runs."""

from rich.console import Console

from expt.analysis.arguments import make_parser
from expt.analysis.filters import split_arguments
from expt.analysis.output import write_files
from expt.analysis.selection import select
from expt.analysis.table import compare
from expt.analysis.terminal import print_comparison
from expt.cli import program, run_command
from expt.config.flags import parse

_FILE_OPTIONS = ("csv", "markdown", "json", "plots", "html")


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    args = parse(make_parser(program("compare")), arguments)
    output_dir, names, filters = split_arguments(args.selection)
    selection = select(names, filters, output_dir)
    comparison = compare(
        selection.runs,
        args.metric,
        args.sort,
        selection.notes,
        replicates=args.replicates,
        margin=args.margin,
    )
    title = selection.title
    console = Console()
    print_comparison(console, comparison, title)
    targets = {kind: path for kind in _FILE_OPTIONS if (path := getattr(args, kind)) is not None}
    for path in write_files(comparison, targets, title):
        console.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    main()
