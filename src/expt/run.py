"""`python -m expt.run [-m] [overrides]`: trains one run, or with -m a sweep."""

import sys

from expt.record.phases import Phases, command_phases, show_start

if __name__ == "__main__":  # before the other imports, which take up to a second
    show_start("run", sys.argv[1:])

import hashlib
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from expt.analysis.run_argument import take_run
from expt.cli import COMMANDS, program, run_command
from expt.config.compose import (
    Composed,
    Job,
    compose_whole,
    directory_override,
    is_multirun,
    prepare_hydra,
)
from expt.config.flags import parse, take_options
from expt.config.frozen import read_frozen, with_overrides, write_frozen
from expt.config.hashes import run_hash
from expt.config.hydra_flags import check_flags
from expt.config.location import config_directory
from expt.config.overrides import normalize
from expt.config.paths import expanded
from expt.config.shown import show
from expt.config.sources import code_of
from expt.errors import UserError
from expt.record.exits import exit_code, print_error
from expt.runs.changed_code import rerun_note
from expt.runs.completion import shell_completion
from expt.runs.directories import allocate, discard
from expt.runs.planned import PLAN_FILE
from expt.train.data_loading import DataLoader
from expt.train.launch import (
    LOG_FILE,
    log_to,
    print_code_note,
    print_git_trouble,
    print_notes,
    print_replaced,
    print_where_to_look,
    train_here,
)
from expt.train.recorders import Sinks

if TYPE_CHECKING:
    from expt.sweep.launchers import Launcher

_NOT_FOR_HYDRA = ("overrides", "rerun", "metric", "config_dir")


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = get_args_parser()
    parser.prog = program("run")
    parser.add_argument("--rerun", metavar="RUN")  # the help is in conf/config.yaml
    parser.add_argument("--metric")
    args = parse(parser, arguments)
    check_flags(args)
    if args.config_dir is not None:
        args.config_dir = str(expanded(args.config_dir, "--config-dir "))
    args.overrides = normalize(args.overrides, args.multirun)
    if args.shell_completion and not any(one.endswith("=fish") for one in args.overrides):
        return shell_completion(args.overrides, COMMANDS, program("run"))
    if args.help or args.hydra_help or args.shell_completion or args.info:
        if not args.shell_completion:
            _show_first(args)
        _hand_to_hydra(args, _train_nothing)
        return 0
    if args.metric is not None and args.rerun is None:
        raise UserError(f"--metric {args.metric}: expected only with --rerun best.")
    if args.rerun is not None:
        return _rerun(args)
    task = _Task(command_phases())
    begin = None if args.cfg else task.begin
    if not args.cfg:
        task.phases.begin("composing the config")
    try:
        composed, hydra_node = compose_whole(args.overrides, args.config_dir, args.multirun, begin)
        if args.cfg:
            options = {"is_sweep": is_multirun(hydra_node), "resolve": args.resolve}
            print(*show(composed, hydra_node, args.cfg, args.package, **options), sep="\n")
            return 0
        return _train(args, composed, hydra_node, task)
    finally:
        task.close()


def _train(
    args: Namespace,
    composed: Sequence[Composed],
    hydra_node: DictConfig,
    task: "_Task",
) -> int:
    """Checks all jobs and loads their data; only then makes a directory and trains them."""
    hashes = task.take(composed)
    task.phases.end()
    print_replaced(task.console, [one.job for one in composed], args.config_dir)
    is_sweep = is_multirun(hydra_node)
    output_dir = composed[0].job.output_dir
    key, directory = ("hydra.run.dir", hydra_node.run.dir)
    if is_sweep:
        key, directory = ("hydra.sweep.dir", hydra_node.sweep.dir)
    chosen_by_user = any(override.startswith(f"{key}=") for override in args.overrides)
    if chosen_by_user:
        directory = expanded(directory, f"{key}=")
        _refuse_used(directory)
    else:
        name = hashlib.sha256("".join(hashes).encode()).hexdigest() if is_sweep else hashes[0]
        directory = allocate(output_dir / ("sweeps" if is_sweep else "runs"), name[:8])
    args.overrides = [*args.overrides, directory_override(key, directory)]

    with _directory(directory, output_dir, task.console, keep=chosen_by_user):
        if is_sweep:
            from expt.sweep.launcher import register

            register()
        _hand_to_hydra(args, task)
        # Not after an interruption: the run is closed, or a second Ctrl-C wants out at once.
        task.sinks.stop()
    return max(task.exit_codes)


class _Task:
    """What Hydra calls: with a job, or its launcher with the jobs of a sweep."""

    def __init__(self, phases: Phases) -> None:
        self.phases, self.console, self.sinks = phases, phases.console, Sinks()
        self.exit_codes: list[int] = []
        self._load = DataLoader()
        self._composed: dict[tuple[str, ...], Composed] = {}
        self._fingerprints: dict[tuple[str, ...], str] = {}
        self._notes: tuple[str, ...] = ()
        self._launcher: Launcher | None = None

    def begin(self, job: Job, number_of_jobs: int, hydra_node: DictConfig) -> None:
        """Starts a sweep's workers, which take seconds, while its other jobs are composed."""
        self.phases.begin("loading data")
        self._load(job)
        self.phases.begin(f"composing {number_of_jobs} jobs")
        if hydra_node.launcher._target_.endswith("WorkersLauncher"):
            from expt.sweep.start import start_launcher

            self._launcher = start_launcher(job, number_of_jobs, self._load.shared())

    def take(self, composed: Sequence[Composed]) -> list[str]:
        """Checks all jobs and loads their data; returns their run hashes."""
        self._composed = {one.job.overrides: one for one in composed}
        jobs = [one.job for one in composed]
        self.phases.begin("loading data")
        datasets = {job.overrides: self._load(job) for job in jobs}
        self._fingerprints = {key: dataset.fingerprint for key, dataset in datasets.items()}
        notes = (note for dataset in datasets.values() for note in dataset.notes)
        self._notes = tuple(dict.fromkeys(notes))
        return [
            run_hash(job.config, self._fingerprints[job.overrides], code_of(job.config).hash)
            for job in jobs
        ]

    def __call__(self, config: DictConfig) -> None:
        job, place = Job.current(config), Path(HydraConfig.get().runtime.output_dir)
        self.exit_codes.append(
            train_here(job, self._load(job), place, self.sinks(job), self.console)
        )

    def composed(self, overrides: Sequence[str]) -> Composed | None:
        return self._composed.get(tuple(overrides))

    def launch(self, directory: Path, jobs: Sequence[Composed]) -> None:
        from expt.sweep.start import run_sweep

        assert self._launcher is not None
        self.phases.end()
        print_git_trouble(self.console)
        print_notes(self.console, self._notes)
        try:
            if self.exit_codes:
                raise UserError(
                    "hydra/sweeper: it gives its jobs in several batches, and the workers have "
                    "done the first; expected one with all jobs at once, such as the default, "
                    "grid. hydra/launcher=basic takes batches."
                )
            data = [
                self._fingerprints.get(one.job.overrides) or self._load(one.job).fingerprint
                for one in jobs
            ]
            code = run_sweep(directory, jobs, data, self._launcher, self.phases)
        except Exception as error:  # noqa: BLE001  Hydra would print a traceback of any
            print_error(error)
            code = exit_code(error)
        self.exit_codes.append(code)

    def close(self) -> None:
        if self._launcher is not None:
            self._launcher.close()


def _rerun(args: Namespace) -> int:
    """Trains a recorded run's frozen config anew, whatever conf/ says by now."""
    if args.multirun or args.cfg:
        raise UserError("--rerun: expected no -m and no --cfg with it; overrides are possible.")
    options, _ = take_options(args.overrides, {"output_dir": "outputs"})
    phases = command_phases()
    found = take_run(args.rerun, Path(options["output_dir"]), args.metric)
    found.check_record()
    frozen = read_frozen(found.directory, found.record)
    is_chosen = any(override.startswith("output_dir=") for override in args.overrides)
    if Path(frozen.config["output_dir"]).is_absolute() and not is_chosen:
        frozen = replace(frozen, moved_to=found.output_dir)  # not where it was moved from
    job, _ = with_overrides(frozen, args.overrides, args.config_dir)
    phases.begin("loading data")
    dataset, code = DataLoader()(job), code_of(job.config)
    phases.end()
    output_dir = job.output_dir
    print_replaced(phases.console, [job], args.config_dir)
    name = run_hash(job.config, dataset.fingerprint, code.hash)
    directory = allocate(output_dir / "runs", name[:8])
    console, sinks = phases.console, Sinks()
    with _directory(directory, output_dir, console, keep=False):
        write_frozen(directory, job, found.directory)
        log_to(directory / LOG_FILE)
        print_code_note(console, rerun_note(found.record, code))
        exit_code = train_here(job, dataset, directory, sinks(job), console)
        sinks.stop()
    return exit_code


@contextmanager
def _directory(
    directory: Path, output_dir: Path, console: Console, *, keep: bool
) -> Iterator[None]:
    """Tells at the end where the records are; removes a directory in which no run began."""
    try:
        yield
    finally:
        if any(directory.rglob("run.json")):
            print_where_to_look(console, output_dir)
        elif not keep and not (directory / PLAN_FILE).exists():
            discard(directory, root=output_dir)


def _show_first(args: Namespace) -> None:
    """Checks the overrides that --help and --info are of; of a sweep, the first job is shown."""
    composed, _ = compose_whole(args.overrides, args.config_dir, args.multirun)
    args.overrides, args.multirun = list(composed[0].job.overrides), False


def _train_nothing(config: DictConfig) -> None:
    """Stands in where Hydra only shows something."""


def _hand_to_hydra(args: Namespace, task: Callable[[DictConfig], None]) -> None:
    """Lets Hydra run a command line, which it takes from `sys.argv`.

    A user's own folder is known to it already: by its own flag, the folder would come last.
    """
    prepare_hydra(args.config_dir)
    decorate = hydra.main(
        version_base="1.3", config_path=str(config_directory()), config_name="config"
    )
    with _arguments(_as_arguments(args)):
        decorate(task)()


def _as_arguments(args: Namespace) -> list[str]:
    """Returns the command line that Hydra parses to the same; overrides lie beside each other."""
    arguments = list(args.overrides)
    for name, value in vars(args).items():
        if name not in _NOT_FOR_HYDRA and value not in (None, False):
            flag = f"--{name.replace('_', '-')}"
            arguments.append(flag if value is True else f"{flag}={value}")
    return arguments


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = [before[0], *arguments]
    try:
        yield
    finally:
        sys.argv = before


def _refuse_used(directory: Path) -> None:
    if (directory / PLAN_FILE).exists() or any(directory.rglob("run.json")):
        raise UserError(
            f"{directory} already holds a run or a sweep; no two share a directory. Choose another "
            "one, or leave it to expt."
        )


if __name__ == "__main__":
    main()
