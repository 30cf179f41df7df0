"""Functions that AutoGraph has converted already, for processes that are forked later.

Converting the functions of a training step takes a second or two of every process that traces one.
It needs their source alone, no tensor, so it can be done before the forks.
"""

import importlib
import marshal
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

_Converted = tuple[bytes, str, tuple[Any, ...]]  # the code, its module, the options


def record() -> Callable[[], bytes]:
    """Returns what returns, later, which functions were converted until then."""
    from tensorflow.python.autograph.impl import api

    converted: list[_Converted] = []
    transform = api._TRANSPILER.transform

    def transform_and_record(function: Any, context: Any) -> Any:
        module, options = function.__globals__["__name__"], context.options.as_tuple()
        converted.append((marshal.dumps(function.__code__), module, options))
        return transform(function, context)

    api._TRANSPILER.transform = transform_and_record
    return lambda: pickle.dumps(list(dict.fromkeys(converted)))


def convert(recorded: bytes) -> Callable[[], None]:
    """Converts what was recorded in another process; returns what removes its files."""
    from tensorflow.python.autograph.core import converter
    from tensorflow.python.autograph.impl import api
    from tensorflow.python.autograph.pyct import loader

    removers: list[Callable[[], None]] = []
    # The forks read the files that are made here; they must not remove them.
    loader.atexit = types.SimpleNamespace(register=removers.append)
    for code, module, options in pickle.loads(recorded):  # noqa: S301  of our own process
        if module not in sys.modules:
            importlib.import_module(module)
        function = _function(marshal.loads(code), vars(sys.modules[module]))  # noqa: S302
        context = converter.ProgramContext(converter.ConversionOptions(*options))
        _kept.append(function)  # the cache is a weak one
        api._TRANSPILER.transform(function, context)
    loader.atexit = importlib.import_module("atexit")

    def remove_files() -> None:
        for remove in removers:
            remove()

    return remove_files


_kept: list[types.FunctionType] = []


def _function(code: types.CodeType, namespace: dict[str, Any]) -> types.FunctionType:
    cells = tuple(types.CellType() for _ in code.co_freevars)
    return types.FunctionType(code, namespace, code.co_name, None, cells)
