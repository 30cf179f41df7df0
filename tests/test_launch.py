import io

from rich.console import Console

from expt.launch import print_notes


def test_notes_are_printed_as_they_are() -> None:
    stream = io.StringIO()
    print_notes(Console(file=stream, width=20), ["a [bold]column[/bold] of 300 values", "1:2"])
    assert stream.getvalue() == "data: a [bold]column[/bold] of 300 values\ndata: 1:2\n"
