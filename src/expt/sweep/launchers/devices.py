"""The GPUs that a machine has to train on, each for one worker."""

import os
import shutil
import subprocess
from collections.abc import Mapping

VISIBLE = "CUDA_VISIBLE_DEVICES"


def gpus() -> list[str]:
    """Returns the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them.

    TensorFlow is not asked: it would take them for this process.
    """
    visible = os.environ.get(VISIBLE)
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        return names[: names.index("-1")] if "-1" in names else [name for name in names if name]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    listed = subprocess.run([program, "-L"], capture_output=True, text=True, check=False)
    lines = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(lines))]


def environments(workers: int, devices: list[str]) -> list[Mapping[str, str]]:
    """Returns what each worker's environment says beside its parent's: one GPU, if there are any.

    Args:
        workers: How many there are; with more of them than GPUs, some share one.
        devices: The GPUs.
    """
    if not devices:
        return [{} for _ in range(workers)]
    # Else the first worker on a GPU would take all of its memory.
    shared = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} if workers > len(devices) else {}
    return [{VISIBLE: devices[number % len(devices)], **shared} for number in range(workers)]
