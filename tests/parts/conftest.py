import functools
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from expt.config.instantiate import bind_part
from expt.config.location import config_directory

ConfPart = Callable[[str], functools.partial[Any]]


@pytest.fixture
def conf_part() -> ConfPart:
    """Returns parts as conf/ configures them: `conf_part("act/relu")()` is a layer."""

    def make(option: str) -> functools.partial[Any]:
        text = (config_directory() / f"{option}.yaml").read_text(encoding="utf-8")
        node = yaml.safe_load(text)
        return bind_part(node, option.partition("/")[0])

    return make
