"""The GPUs of this machine, and their assignment to workers."""

import os
import shutil
import subprocess
from collections.abc import Mapping

VISIBLE = "CUDA_VISIBLE_DEVICES"


def gpus() -> list[str]:
    """Returns the names of the GPUs that this process may use, as for CUDA_VISIBLE_DEVICES.

    They are listed with `nvidia-smi`, not with TensorFlow, which would reserve their memory for
    this process.
    """
    visible = os.environ.get(VISIBLE)
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        # CUDA ignores all names after an invalid one, and -1 is the usual way to hide all GPUs.
        return names[: names.index("-1")] if "-1" in names else [name for name in names if name]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    listed = subprocess.run([program, "-L"], capture_output=True, text=True, check=False)
    lines = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(lines))]


def environments(workers: int, devices: list[str]) -> list[Mapping[str, str]]:
    """Returns the environment variables to add for each worker, which select one GPU for it.

    Args:
        workers: Number of workers; if there are more of them than GPUs, some share a GPU.
        devices: Names of the GPUs; if there are none, no variables are added.
    """
    if not devices:
        return [{} for _ in range(workers)]
    # Without it, TensorFlow reserves nearly all memory of a GPU for the first worker on it.
    shared = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} if workers > len(devices) else {}
    return [{VISIBLE: devices[number % len(devices)], **shared} for number in range(workers)]
