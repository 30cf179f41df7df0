"""Follows a job's config from `expt.run.main` to the first block of steps, call by call.

    python scripts/call_chain.py [-m] [overrides]     (PYTHONPATH may lead to another checkout)

Printed are the calls and returns between modules of expt that carry a config: a job, a composed or
typed config, or a mapping with the keys of one, as an argument or as the returned value. Each pair
of functions counts once, however often it is passed.

- A return hands a config back to the caller, in another module.
- A call upwards leads to a module of a higher layer, whether or not it carries a config. Calls
  that Hydra makes back into expt lead upwards, for Hydra is below all layers.

Of a sweep, what happens in this process is followed, until its first job is handed to a worker.
"""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

LAYERS = (
    ("errors",),
    ("parts",),
    ("serving",),
    ("config",),
    ("runs",),
    ("record",),
    ("train",),
    ("analysis",),
    ("exports", "prediction", "servers", "verification"),
    ("sweep",),
    ("cli",),
)
"""From the bottom, as in tests/test_architecture.py; commands are above them."""
_FORMER_HOMES = {
    **dict.fromkeys(("phases", "streams"), "record"),
    **dict.fromkeys(("changed_code", "recorded_data"), "runs"),
    **dict.fromkeys(("assembly", "building", "class_weights", "continuing"), "train"),
    **dict.fromkeys(("description", "extension", "job", "launch", "rehearsal"), "train"),
    **dict.fromkeys(("saveable", "saved", "scoring", "signals"), "train"),
    "comparison": "analysis",
    "run_argument": "analysis",
    "flags": "config",
    "command": "cli",
}
"""Modules that were at top level before, and the layers that they belong to now."""
_ENDS = {"run_block", "run_segment", "submit"}  # the first steps, or the first job of a sweep
_CONFIGS = {"Job", "Composed", "Composition", "Config", "DictConfig"}


class _Reached(BaseException):
    """The steps are reached."""


class _Chain:
    def __init__(self) -> None:
        self.returns: dict[tuple[str, str], None] = {}
        self.upwards: dict[tuple[str, str], None] = {}

    def __call__(self, frame: FrameType, event: str, value: Any) -> None:
        if event not in ("call", "return"):
            return
        module = _module(frame)
        if module is None or module == "hydra":
            return
        caller = _caller(frame)
        if caller is None:
            return
        pair = (_name(caller), _name(frame))
        above = _module(caller)
        if above == module or frame.f_code.co_name == "<module>":
            return
        if event == "call":
            if _height(module) > _height(above):
                self.upwards[pair] = None
            if frame.f_code.co_name in _ENDS:
                sys.setprofile(None)
                raise _Reached
        elif _is_config(value) or _has_config(frame):
            self.returns[pair] = None


def _module(frame: FrameType) -> str | None:
    name = str(frame.f_globals.get("__name__", ""))
    if name == "__main__" and "expt" not in str(frame.f_code.co_filename):
        return None
    top = name.partition(".")[0]
    return name if top == "expt" else "hydra" if top == "hydra" else None


def _caller(frame: FrameType) -> FrameType | None:
    """Returns the nearest frame above that belongs to expt or Hydra."""
    above = frame.f_back
    while above is not None and _module(above) is None:
        above = above.f_back
    return above


def _name(frame: FrameType) -> str:
    return f"{_module(frame)}.{frame.f_code.co_qualname}"


def _height(module: str | None) -> int:
    name = (module or "").removeprefix("expt.").partition(".")[0]
    name = _FORMER_HOMES.get(name, name)
    if name in ("hydra", "expt"):
        return -1
    return next((height for height, names in enumerate(LAYERS) if name in names), len(LAYERS))


def _is_config(value: Any) -> bool:
    if isinstance(value, Mapping) and type(value).__name__ == "dict":
        return {"seed", "loop", "data"} <= value.keys()
    if isinstance(value, list | tuple):
        return any(_is_config(one) for one in value[:3])
    return type(value).__name__ in _CONFIGS


def _has_config(frame: FrameType) -> bool:
    """Whether an argument of a call is a config, or has one as its attribute."""
    names = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
    return any(_is_config(frame.f_locals.get(name)) for name in names)


def main() -> None:
    """Follows the command line's config."""
    chain, arguments = _Chain(), sys.argv[1:] or ["loop.epochs=1"]
    from expt.run import main as run

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.argv = [str(Path("run.py")), *arguments]
        sys.setprofile(chain)
        try:
            run()
        except _Reached:
            pass
        finally:
            sys.setprofile(None)
    for title, pairs in (("returns", chain.returns), ("calls upwards", chain.upwards)):
        print(f"{len(pairs)} {title}")
        for caller, called in pairs:
            print(f"  {caller} -> {called}")
    sys.stdout.flush()
    os._exit(0)  # processes of recorders may wait for more


if __name__ == "__main__":
    main()
