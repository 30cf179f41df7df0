"""The server that worker processes are forked from: a process with all imports done.

Importing TensorFlow and Keras takes each process some four seconds; a fork of one that has done so
starts in a tenth of that, and shares its memory until it writes. Only the server that
`multiprocessing` starts for its method `forkserver` may import this module.
"""

import ctypes
import signal
from importlib import import_module

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>

# Killed together with the command, which may end while the server is still importing, for example
# because of a mistake in the config. Not a thread that waits: it would be lost in the forks.
ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

import_module("expt.train.backend").import_tensorflow()
for _name in ("record.figures", "sweep.launchers.worker", "train.session", "train.timing"):
    import_module(f"expt.{_name}")
