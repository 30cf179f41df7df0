from pathlib import Path

from expt.config.comments import Comments, read_comments

_TEXT = """\
# @package metric.f1
# What the file is,
# in two lines.
_target_: a.b  # not a meaning of anything else
plain: 1
behind: "a # b" # in the text is no comment
# Two lines
# above a key.
above: {x: 1, y: 2}

# Above an empty line: about nothing.

mapping: # of a block
  inner: [1, 2] # a list
  empty: null
listed:
  - group: option # an entry
"""


def test_each_comment_has_its_key(tmp_path: Path) -> None:
    file = tmp_path / "any.yaml"
    file.write_text(_TEXT)
    assert read_comments(file) == Comments(
        "What the file is, in two lines.",
        {
            "_target_": "not a meaning of anything else",
            "behind": "in the text is no comment",
            "above": "Two lines above a key.",
            "mapping": "of a block",
            "mapping.inner": "a list",
            "listed.group": "an entry",
        },
    )


def test_a_file_of_comments_alone(tmp_path: Path) -> None:
    file = tmp_path / "any.yaml"
    file.write_text("# Nothing else.\n")
    assert read_comments(file) == Comments("Nothing else.", {})
