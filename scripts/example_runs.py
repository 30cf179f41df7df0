"""Fills a folder with 60 runs: two sweeps, and single runs of every task.

    python scripts/example_runs.py outputs

The pictures of the documents are of such a folder, and the pages of TensorBoard, MLflow and the
report are judged by it. It takes some minutes.
"""

import argparse
import subprocess
import sys

SINGLE = (
    "data=digits",
    "model=cnn loop.epochs=3",
    "model=cnn optimizer=sgd optimizer.learning_rate=0.1 loop.epochs=3",
    "model=resnet model.depth=8 loop.epochs=2",
    "data=iris loop.epochs=20",
    "data=iris act=tanh loop.epochs=20",
    "data=wine loop.epochs=20",
    "data=breast_cancer loop.epochs=10 metric=[accuracy,f1,auc]",
    "data=breast_cancer model=linear loss=hinge loop.epochs=10",
    "data=diabetes loss=mse loop.epochs=20",
    "data=diabetes loss=mae act=tanh loop.epochs=20",
    "data=linear loss=huber loop.epochs=20",
    "experiment=autoencoder loop.epochs=10",
    "experiment=gan loop.epochs=10",
    "optimizer=lion optimizer.learning_rate=0.0003 loop.epochs=10",
    "schedule=cosine loop.epochs=10",
    "loss=focal loop.epochs=10",
    "optimizer=adamw seed=1 loop.epochs=10",
)
SWEEPS = (
    "act=relu,tanh,sigmoid,gelu loss=crossentropy,mse seed=0,1,2 loop.epochs=10",
    "act=relu,tanh,sigmoid optimizer.learning_rate=0.001,0.01 seed=0,1,2 loop.epochs=10",
)


def main() -> None:
    """Trains all of them; the last sweep is the newest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("outputs")
    args = parser.parse_args()
    first, last = SWEEPS
    for overrides in (f"-m {first}", *SINGLE, f"-m {last}"):
        command = [sys.executable, "-m", "expt.run", *overrides.split()]
        subprocess.run([*command, f"output_dir={args.outputs}"], check=True)


if __name__ == "__main__":
    main()
