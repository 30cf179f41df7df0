"""The server that worker processes are forked from: a process with all imports done.

Importing TensorFlow and Keras takes each process some four seconds; a fork of one that has done so
starts in a tenth of that, and shares its memory until it writes. Only the server that
`multiprocessing` starts for its method `forkserver` may import this module.
"""

from importlib import import_module

from expt.train.backend import import_tensorflow

import_tensorflow()
for _name in ("record.figures", "sweep.launchers.worker", "train.session", "train.timing"):
    import_module(f"expt.{_name}")
