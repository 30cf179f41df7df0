"""Trains every model for some steps: `python model_digests.py CORES OPERATIONS`.

Prints a JSON object of one digest per model, of all variables and of an evaluation.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence

STEPS = 2
_SMALL: dict[str, Sequence[str]] = {
    "autoencoder": ["loss=mse"],
    "gan": ["loss=binary_crossentropy"],
    "resnet": ["model.depth=8"],
    "vit": ["model.depth=1"],
}
CASES: dict[str, Sequence[str]] = {
    **{
        f"{name}, graph": [f"model={name}", *_SMALL.get(name, [])]
        for name in ("linear", "mlp", "cnn", "resnet", "vit", "autoencoder", "gan")
    },
    "mlp, xla": ["loop.compile=xla"],
    "vit, xla": ["model=vit", *_SMALL["vit"], "loop.compile=xla"],
}


def digest(overrides: Sequence[str], operations: int) -> str:
    """Returns a digest of the scalars, the state and an evaluation after some steps."""
    from expt.config.compose import compose_jobs
    from expt.train.backend import start_tensorflow
    from expt.train.data_loading import DataLoader
    from expt.train.timeline import make_timeline

    (job,), _ = compose_jobs([*overrides, f"loop.steps={STEPS}"], None, multirun=False)
    dataset = DataLoader()(job)
    loop = job.config.loop
    start_tensorflow(0, threads=loop.threads, operations=operations)
    from expt.train.executors.block import make_run_block
    from expt.train.input.pipeline import make_pipeline
    from expt.train.program import make_program
    from expt.train.state import state_variables

    timeline = make_timeline(job, dataset)
    parts, pipeline = make_program(job, dataset), make_pipeline(timeline, dataset)
    mode = loop.compile
    block = make_run_block(parts.learner.step, pipeline, timeline.batch_size, STEPS, mode)
    scalars = block(0, timeline.indices(0, STEPS))
    values, _ = parts.learner.make_evaluate(dataset.validation, mode)()
    state = state_variables(parts.learner, parts.schedules)
    hashed = hashlib.blake2b(digest_size=8)
    for array in (*scalars.scalars.values(), *(variable.numpy() for variable in state.values())):
        hashed.update(array.tobytes())
    hashed.update(repr(sorted(values.items())).encode())
    return hashed.hexdigest()


if __name__ == "__main__":
    cores, operations = map(int, sys.argv[1:])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    print(json.dumps({name: digest(given, operations) for name, given in CASES.items()}))
