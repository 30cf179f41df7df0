"""Bad inputs of every kind to every command: each is reported, and none damages other files.

There are at least 900 of them: 320 damaged records, 120 configs, 40 journals, 25 checkpoints, 45
models, 40 files and stores, and 330 command lines. The commands run in this process, since starting
900 processes would take too long.
"""

import hashlib
import io
import json
import shutil
import sqlite3
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from e2e.bad_inputs_helpers import MISSING, Answer, Place, answer, content, places, put
from expt.record.journal import complete_size
from expt.record.recorder import Record, Scalars
from expt.runs.run import Run
from expt.train.checkpoint import checkpoint_files
from expt.train.executors import single
from expt.train.recorders import Sinks
from resume.interrupting import SignalAt, assert_same

pytestmark = [
    # Keras warns about a file of weights of another model, MLflow about its own code.
    pytest.mark.filterwarnings("ignore:Skipping (nested container|variable loading):UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),
]
QUICK = ("model=linear", "loop.epochs=3", "loop.image_every=null")

STORE = "output_dir=../outputs"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "evaluate": ("run", STORE),
    "predict": ("run", "../inputs.npy", "out.npy"),
    "export": ("run", "saved_model"),
    "resume": ("run",),
    "sync": ("run", STORE),
    "run": ("--rerun", "run", "recorder=[]"),
}
OF_KILLED = ("resume", "run")
"""The commands that are tried on the interrupted run; the others are tried on the finished one."""
MAY_CHANGE = {
    "resume": ("run.json", "metrics.jsonl", "model.keras", "layers.md", "git.diff", "checkpoints"),
    "sync": ("run.json",),
}
"""The files of a run that a command may change if it succeeds; others may only add files."""
REFUSED = dict.fromkeys(COMMANDS, 2) | {"sync": 1}  # `sync` continues with the other runs

Damage = Callable[[Path], Any]


class Runs:
    """A finished run, which is also in MLflow, and an interrupted one; makes copies to damage."""

    def __init__(self, root: Path) -> None:
        self.root, self._numbers = root, count()

    def folder(self, command: str) -> Path:
        """Makes a working directory with a copy of the run that a command is tried on."""
        folder = self.root / f"case-{next(self._numbers)}"
        kind = "killed" if command in OF_KILLED else "finished"
        shutil.copytree(self.root / kind, folder / "run")
        return folder

    def stored(self) -> Counter[Any]:
        """Returns the values that MLflow has of runs, without those of evaluations."""
        with closing(sqlite3.connect(self.root / "outputs" / "mlflow.db")) as store:
            rows = store.execute("SELECT run_uuid, key, step, value, is_nan FROM metrics")
            return Counter(row for row in rows if not row[1].startswith("with/"))


class SignalAfterCheckpoint(SignalAt):
    """Waits for a checkpoint before it sends the signal.

    The writer skips checkpoints while it is busy, so that the run could end with a single one.
    """

    def open(self, run: Run) -> None:
        self._folder = run.directory / "checkpoints"

    def write(self, record: Record) -> None:
        if isinstance(record, Scalars) and self._step in record.steps:
            deadline = time.monotonic() + 60
            while not any(checkpoint_files(self._folder)) and time.monotonic() < deadline:
                time.sleep(0.01)
        super().write(record)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    root = tmp_path_factory.mktemp("runs")
    done = answer("run", *QUICK, "recorder=[mlflow]", "hydra.run.dir=finished", folder=root)
    assert done.code == 0, done
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sinks, "__call__", lambda *_: [SignalAfterCheckpoint(30)])
        # A signal waits for the end of a segment: segments end at the steps 8, 19 and 30.
        patch.setattr(single, "CAPACITY", 11)
        done = answer("run", *QUICK, "recorder=[]", "hydra.run.dir=killed", folder=root)
    assert done.code == 130, done
    np.save(root / "inputs.npy", np.zeros((3, 8, 8, 1)))
    made = Runs(root)
    values = made.stored()
    assert values
    yield made
    assert values <= made.stored()


def refuse(
    runs: Runs, command: str, damage: Damage, *arguments: str, code: int | None = None
) -> Answer:
    """Asserts that a command reports a damage, and changes nothing."""
    folder = runs.folder(command)
    damage(folder / "run")
    before = content(folder)
    done = answer(command, *(arguments or COMMANDS[command]), folder=folder)
    assert done.is_an_answer, done
    assert done.code == (REFUSED[command] if code is None else code), done
    assert content(folder) == before
    shutil.rmtree(folder)
    return done


def survive(runs: Runs, command: str, damage: Damage, *arguments: str) -> tuple[Answer, Path]:
    """Asserts that a command reports a damage, or works in spite of it, and damages nothing else.

    Returns:
        The outcome of the command, and its working directory.
    """
    folder = runs.folder(command)
    run = folder / "run"
    damage(run)
    lines = (run / "metrics.jsonl").read_bytes()[: complete_size(run / "metrics.jsonl")]
    before = content(folder)
    done = answer(command, *(arguments or COMMANDS[command]), folder=folder)
    assert done.is_an_answer, done
    after = content(folder)
    if done.code == 2:
        assert after == before
    free = [run / name for name in MAY_CHANGE.get(command, ())]
    kept = {p: h for p, h in before.items() if not any(Path(p).is_relative_to(f) for f in free)}
    assert kept.items() <= after.items()
    assert (run / "metrics.jsonl").read_bytes().startswith(lines)
    return done, folder


def examples(number: int) -> settings:
    """Settings for examples that take up to a second each, the same ones every time."""
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


LARGE = [2**31, 2**63, 2**70, -(2**70)]
TEXTS = st.text(max_size=8) | st.sampled_from(["../x", "a\0b", "\ud800", "${x}", "???", "~x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(LARGE) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=3,
)
ANYTHING = JSON | st.just(MISSING)
AT = st.integers(0, 2**32)
"""A number that stands for a place: the place with this index, modulo the number of places."""


@st.composite
def garbling(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Draws a damage: some bits flip, the end is lost or zeroed, or something is inserted."""
    kind = draw(st.sampled_from(["flip", "flip", "cut", "zeros", "insert", "other"]))
    offsets, bit = draw(st.lists(AT, min_size=1, max_size=3)), draw(st.integers(0, 7))
    more = draw(st.binary(min_size=1, max_size=40))

    def garble(content: bytes) -> bytes:
        at, flipped = offsets[0] % len(content), bytearray(content)
        for offset in offsets:
            flipped[offset % len(content)] ^= 1 << bit
        garbled = {
            "flip": bytes(flipped),
            "cut": content[:at],
            "zeros": content[:at] + bytes(len(content) - at),
            "insert": content[:at] + more + content[at:],
            "other": more,
        }[kind]
        assume(garbled != content)
        return garbled

    return garble


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Damage:
    """Changes the content of a file of a run."""

    def damage(run: Path) -> None:
        file = run / name
        file.write_bytes(change(file.read_bytes()))

    return damage


def replace_by(name: str, new: bytes | None) -> Damage:
    """Replaces a file of a run; None replaces it by a folder."""

    def damage(run: Path) -> None:
        (run / name).unlink()
        if new is None:
            (run / name).mkdir()
        else:
            (run / name).write_bytes(new)

    return damage


def in_record(place: Place | int, new: Any) -> Damage:
    """Puts something at a place of run.json, or at one that a number stands for."""

    def change(content: bytes) -> bytes:
        record = json.loads(content)
        put(record, _place(record, place), new)
        return json.dumps(record).encode()

    return rewrite("run.json", change)


def in_config(place: Place | int, new: Any) -> Damage:
    """Puts something at a place of the frozen config, or at one that a number stands for."""

    def change(content: bytes) -> bytes:
        config = yaml.safe_load(content)
        at = _place(config, place)
        if at[-1] in ("epochs", "steps") and isinstance(new, int):
            put(config, at, min(new, 3))  # a long training is valid, but the test would wait for it
        else:
            put(config, at, new)
        return yaml.safe_dump(config).encode(errors="surrogatepass")

    return rewrite(".hydra/config.yaml", change)


def _place(value: Any, place: Place | int) -> Place:
    if isinstance(place, tuple):
        return place
    known = list(places(value))
    return known[place % len(known)]


def dotted(name: str) -> Place:
    return tuple(name.split("."))


USED = {
    "status": "DONE",
    "started": "today",
    "run_name": 3,
    "run_hash": None,
    "variant_hash": [],
    "overrides": "seed=1",
    "choices": [],
    "data": None,
    "data.name": 1,
    "data.source": True,
    "data.task": {},
    "data.fingerprint": 0,
    "data.input_shape": [1.5],
    "data.class_names": [1],
    "data.skipped": -1,
    "data.examples": [],
    "parameters": 2**70,
    "versions": "3",
}
"""The keys that every record must have, each with an invalid value."""


class TestRecords:
    @pytest.mark.parametrize("command", COMMANDS)
    @pytest.mark.parametrize("name", USED)
    def test_missing_keys_and_wrong_types_are_named(
        self, runs: Runs, command: str, name: str
    ) -> None:
        for new in (MISSING, USED[name]):
            done = refuse(runs, command, in_record(dotted(name), new))
            assert "run.json" in done.out + done.error
            assert name in done.out + done.error or (name, new) == ("status", MISSING)

    @pytest.mark.parametrize("command", ["evaluate", "predict", "export"])
    @pytest.mark.parametrize(
        ("name", "new"),
        [
            ("best", None),
            ("best", "the last"),
            ("best.step", -1),
            ("model_input_shape", None),
            ("model_input_shape", [8, 8, 3]),
            ("model_output_shape", [3]),
        ],
    )
    def test_values_needed_to_use_the_model_are_checked(
        self, runs: Runs, command: str, name: str, new: Any
    ) -> None:
        refuse(runs, command, in_record(dotted(name), new))

    @pytest.mark.parametrize("command", COMMANDS)
    @pytest.mark.parametrize(
        "new",
        [b"", b"{", b"[]", b"null", b"\xff\xfe{}", b"\0" * 900, b"[" * 100_000, None],
        ids=["empty", "cut", "list", "null", "no utf-8", "zeros", "deep", "folder"],
    )
    def test_unreadable_records_are_refused(
        self, runs: Runs, command: str, new: bytes | None
    ) -> None:
        done = refuse(runs, command, replace_by("run.json", new), code=2 if new is None else None)
        assert "run" in done.out + done.error

    @given(command=st.sampled_from(list(COMMANDS)), at=AT, new=ANYTHING)
    @examples(20)
    def test_anything_anywhere(self, runs: Runs, command: str, at: int, new: Any) -> None:
        survive(runs, command, in_record(at, new))

    @given(command=st.sampled_from(list(COMMANDS)), garble=garbling())
    @examples(20)
    def test_damaged_bytes(
        self, runs: Runs, command: str, garble: Callable[[bytes], bytes]
    ) -> None:
        survive(runs, command, rewrite("run.json", garble))


class TestConfigs:
    @pytest.mark.parametrize("command", [name for name in COMMANDS if name != "export"])
    @pytest.mark.parametrize(
        "new",
        [
            *(b"", b"[]", b"x: [", b"\0", b"\xff\xfe", b"seed: ${seed}", b"a: &a [*a]", None),
            b"!!python/object/apply:os.system [touch called]",
        ],
    )
    def test_invalid_configs_are_refused(self, runs: Runs, command: str, new: bytes | None) -> None:
        done = refuse(runs, command, replace_by(".hydra/config.yaml", new))
        assert "config.yaml" in done.out + done.error

    @pytest.mark.parametrize("place", ["data", "model", "act", "loss", "optimizer", "schedule"])
    @pytest.mark.parametrize("new", ["os.system", "expt.parts.nowhere.x", "keras.layers.Lambda"])
    def test_disallowed_targets_are_refused(self, runs: Runs, place: str, new: str) -> None:
        done = refuse(runs, "run", in_config((place, "_target_"), new))
        assert f"{place}._target_={new}" in done.error

    @pytest.mark.parametrize(
        ("place", "new"),
        [
            (("metric", "accuracy"), "yes"),
            (("metric",), 3),
            (("recorder",), {"mlflow": 1}),
            (("loop", "epochs"), "many"),
            (("loop", "eval_every"), [1]),
            (("seed",), -1),
            (("data", "batch_size"), 10**9),
            (("data", "augment"), "flip"),
            (("optimizer", "learning_rate"), float("nan")),
            (("schedule", "warmup"), 3),
        ],
    )
    def test_invalid_values_are_refused(self, runs: Runs, place: Place, new: Any) -> None:
        for command in ("run", "resume"):
            refuse(runs, command, in_config(place, new))

    @given(command=st.sampled_from(list(COMMANDS)), at=AT, new=ANYTHING)
    @examples(20)
    def test_anything_anywhere(self, runs: Runs, command: str, at: int, new: Any) -> None:
        survive(runs, command, in_config(at, new))

    @given(command=st.sampled_from(list(COMMANDS)), garble=garbling())
    @examples(20)
    def test_damaged_bytes(
        self, runs: Runs, command: str, garble: Callable[[bytes], bytes]
    ) -> None:
        survive(runs, command, rewrite(".hydra/config.yaml", garble))


class TestJournals:
    @pytest.mark.parametrize(
        ("command", "has_died"), [("resume", False), ("sync", False), ("sync", True)]
    )
    @pytest.mark.parametrize(
        "line",
        [
            *(b"", b"{}", b"[1]", b"\xff", b"\0" * 80, b'{"step": -1, "epoch": 1, "time": 1.0}'),
            b'{"step": 1, "epoch": 1, "time": "now"}',
            b'{"step": 1, "epoch": 1, "time": 1, "a/b":{}}',
        ],
    )
    def test_a_damaged_line_is_named(
        self, runs: Runs, command: str, has_died: bool, line: bytes
    ) -> None:
        def damage(run: Path) -> None:
            if has_died:
                for name, new in {"status": "RUNNING", "ended": None, "process": None}.items():
                    in_record((name,), new)(run)
            rewrite("metrics.jsonl", lambda old: old.replace(b"\n", b"\n" + line + b"\n", 1))(run)

        done = refuse(runs, command, damage)
        assert "line 2" in done.out + done.error

    @pytest.mark.parametrize("command", ["resume", "sync"])
    def test_missing_journals_are_refused(self, runs: Runs, command: str) -> None:
        done = refuse(runs, command, replace_by("metrics.jsonl", None))
        assert "metrics.jsonl" in done.out + done.error

    @pytest.mark.parametrize(
        "change",
        [
            lambda old: old + b'{"step": 39, "epo',
            lambda old: old[: len(old) // 2],
            lambda _: b"",
        ],
        ids=["torn", "half", "empty"],
    )
    def test_lost_lines_are_computed_again(
        self, runs: Runs, change: Callable[[bytes], bytes]
    ) -> None:
        done, folder = survive(runs, "resume", rewrite("metrics.jsonl", change))
        assert done.code == 0
        assert_same(folder / "run", runs.root / "finished")

    @given(command=st.sampled_from(["resume", "sync"]), garble=garbling())
    @examples(12)
    def test_damaged_bytes(
        self, runs: Runs, command: str, garble: Callable[[bytes], bytes]
    ) -> None:
        survive(runs, command, rewrite("metrics.jsonl", garble))


def newest(run: Path) -> Path:
    return next(checkpoint_files(run / "checkpoints"))


def forge(file: Path, arrays: Mapping[str, Any]) -> None:
    """Replaces a checkpoint by other arrays, under a name with the right checksum."""
    npz = io.BytesIO()
    np.savez(npz, **arrays)
    digest = hashlib.sha256(npz.getvalue()).hexdigest()[:16]
    file.unlink()
    file.with_name(f"{file.name[:12]}_{digest}.npz").write_bytes(npz.getvalue())


def in_facts(at: int, new: Any) -> Damage:
    """Puts something at a place of the facts in the newest checkpoint."""

    def damage(run: Path) -> None:
        file = newest(run)
        with np.load(file) as stored:
            arrays = dict(stored)
        facts = json.loads(arrays["facts.json"].tobytes())
        # The many values of the identity are checked in the same way, so all of them count once.
        known = [place for place in places(facts) if place[0] != "identity" or len(place) == 1]
        put(facts, known[at % len(known)], new)
        arrays["facts.json"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        forge(file, arrays)

    return damage


class TestCheckpoints:
    @given(garble=garbling())
    @examples(4)
    def test_damaged_checkpoint_is_reported_and_the_previous_one_is_used(
        self, runs: Runs, garble: Callable[[bytes], bytes]
    ) -> None:
        def damage(run: Path) -> None:
            file = newest(run)
            rewrite(str(file.relative_to(run)), garble)(run)

        done, folder = survive(runs, "resume", damage)
        assert done.code == 0
        assert "is damaged: its checksum does not match its name" in done.error
        assert "from step 19" in done.out  # the run was interrupted at step 30, in its second epoch
        assert_same(folder / "run", runs.root / "finished")

    def test_run_starts_over_if_all_checkpoints_are_damaged(self, runs: Runs) -> None:
        def damage(run: Path) -> None:
            for file in checkpoint_files(run / "checkpoints"):
                file.write_bytes(b"")

        done, folder = survive(runs, "resume", damage)
        assert (done.code, done.error.count("is damaged")) == (0, 2)
        assert_same(folder / "run", runs.root / "finished")

    @pytest.mark.parametrize(
        "arrays",
        [
            {},
            {"x": np.zeros(3)},
            {"facts.json": np.frombuffer(b"[]", np.uint8)},
            {"facts.json": np.frombuffer(b'{"step": 39, "best_step": 1}', np.uint8)},
            {"facts.json": np.array([{"step": 38}], object)},
        ],
        ids=["empty", "foreign", "list", "other step", "pickled"],
    )
    def test_other_file_with_a_valid_checkpoint_name_is_skipped(
        self, runs: Runs, arrays: Mapping[str, Any]
    ) -> None:
        done, folder = survive(runs, "resume", lambda run: forge(newest(run), arrays))
        assert done.code == 0
        assert "is damaged" in done.error
        assert_same(folder / "run", runs.root / "finished")

    def test_folder_with_the_name_of_a_checkpoint_is_skipped(self, runs: Runs) -> None:
        def damage(run: Path) -> None:
            replace_by(str(newest(run).relative_to(run)), None)(run)

        assert survive(runs, "resume", damage)[0].code == 0

    def test_file_without_a_checkpoint_name_is_left_alone(self, runs: Runs) -> None:
        def damage(run: Path) -> None:
            for name in ("step_x.npz", "step_0000099.npz", "notes.txt"):
                (run / "checkpoints" / name).write_bytes(b"mine")

        done, folder = survive(runs, "resume", damage)
        assert done.code == 0
        assert (folder / "run/checkpoints/notes.txt").read_bytes() == b"mine"
        assert_same(folder / "run", runs.root / "finished")

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("network 0/", lambda _: None),
            ("optimizer 0/", lambda array: array[..., None]),
            ("network 0/", lambda array: array.astype(str)),
            ("best 0/", lambda array: array > 0),
            ("best 0/", lambda _: None),
        ],
        ids=["missing", "shape", "text", "type", "best"],
    )
    def test_arrays_of_another_model_are_refused(
        self, runs: Runs, name: str, change: Callable[[Any], Any]
    ) -> None:
        def damage(run: Path) -> None:
            with np.load(newest(run)) as stored:
                arrays = dict(stored)
            key = max(key for key in arrays if key.startswith(name))
            changed = {**arrays, key: change(arrays[key])}
            forge(newest(run), {k: array for k, array in changed.items() if array is not None})

        done = refuse(runs, "resume", damage)
        assert "the checkpoint is of another model or optimizer" in done.error

    @given(at=AT, new=ANYTHING)
    @examples(10)
    def test_anything_anywhere_in_its_facts(self, runs: Runs, at: int, new: Any) -> None:
        done, _ = survive(runs, "resume", in_facts(at, new))
        assert done.code != 1


def in_model(name: str, change: Callable[[bytes], bytes]) -> Damage:
    """Changes a member of the saved model's archive, which then is whole."""

    def damage(run: Path) -> None:
        with zipfile.ZipFile(run / "model.keras") as archive:
            members = {member: archive.read(member) for member in archive.namelist()}
        members[name] = change(members[name])
        with zipfile.ZipFile(run / "model.keras", "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)

    return damage


def in_model_config(at: int, new: Any) -> Damage:
    """Puts something at a place of the saved model's own config."""

    def change(content: bytes) -> bytes:
        config = json.loads(content)
        put(config, _place(config, at), new)
        return json.dumps(config).encode()

    return in_model("config.json", change)


def _foreign_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
    return file.getvalue()


def another_model(outputs: int) -> Damage:
    """Saves a model for other data."""

    def damage(run: Path) -> None:
        import keras

        shape = (8, 8, 1) if outputs != 10 else (8, 9, 1)
        layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(outputs)]
        keras.Sequential(layers).save(run / "model.keras")

    return damage


USING = st.sampled_from(["evaluate", "predict", "export"])


class TestModels:
    @pytest.mark.parametrize("command", ["predict", "export"])
    @pytest.mark.parametrize(
        "damage",
        [
            replace_by("model.keras", b""),
            replace_by("model.keras", b"PK\x03\x04 and no more"),
            replace_by("model.keras", _foreign_zip()),
            replace_by("model.keras", None),
            lambda run: (run / "model.keras").unlink(),
            in_model("model.weights.h5", lambda _: b""),
            in_model("model.weights.h5", lambda old: old[: len(old) // 2]),
            in_model("config.json", lambda _: b"[" * 100_000),
            another_model(outputs=3),
            another_model(outputs=10),
        ],
        ids=[
            *("empty", "cut", "zip", "folder", "none", "no weights", "half", "deep"),
            *("other outputs", "other inputs"),
        ],
    )
    def test_invalid_models_are_refused(self, runs: Runs, command: str, damage: Damage) -> None:
        assert "model.keras" in refuse(runs, command, damage).error

    @given(command=USING, garble=garbling())
    @examples(10)
    def test_damaged_bytes(
        self, runs: Runs, command: str, garble: Callable[[bytes], bytes]
    ) -> None:
        done, _ = survive(runs, command, rewrite("model.keras", garble))
        assert done.code != 1

    @given(command=USING, at=AT, new=ANYTHING)
    @examples(10)
    def test_anything_anywhere_in_its_config(
        self, runs: Runs, command: str, at: int, new: Any
    ) -> None:
        survive(runs, command, in_model_config(at, new))

    @given(command=USING, garble=garbling())
    @examples(5)
    def test_damaged_weights(
        self, runs: Runs, command: str, garble: Callable[[bytes], bytes]
    ) -> None:
        survive(runs, command, in_model("model.weights.h5", garble))


LONG = "x" * 5000
NO_RUNS = [
    "nowhere",
    "~no-such-user/run",
    "0123456789abcdef" * 2,
    "run/run.json",
    LONG,
    "\udcff",
    "-",
]
NO_OVERRIDES = [
    *("seed", "=", "=1", "a b", "a=b=c:{", "seed='1", "seed=[1", "seed=${nope}", "${x}=1"),
    *("seed=${oc.env:NOPE}", "seed=range(", "seed=choice(", "@act=relu", "act@x=relu", ""),
    *("--nothing", "-x", "\udcff", "+x=1", "+loop.x=1", "~seed"),
    *("sed=1", "seed=", "seed=x", "seed=1.5", "seed=null", "loop.epoch=3", "loop=none"),
    *("loop.epochs=many", "loop.compile=fast", "loop.precision=float8", "hydra/launcher=nope"),
    *("act=", "act={relu: 1}", "act=rellu", "act=null", "nothing=relu", "recorder=x"),
    *("metric=[accuracy,x]", "experiment=none", "data=nope", "+hydra=x", "optimizer.lr=1"),
    *("seed=-1", "loop.epochs=0", "loop.steps=-3", "loop.eval_every=0", "loop.eval_every=[1]"),
    *("loop.time_limit=soon", "loop.watch=val/x", "act._target_=os.system", "data=diabetes"),
    *("data.batch_size=0", "data.batch_size=100000", "data.split_seed=x", "data.augment=3"),
    *("data.augment.crop=7", "+model.units=[0]", "optimizer.learning_rate=0"),
    *("optimizer.learning_rate=nan", "optimizer.learning_rate=fast", "output_dir=/dev/null/x"),
    *("loss._tasks_=3", "loss._predicts_=[x]", "+loss._targets_=[0]", "+model._step_=[]"),
]
OTHERS = {
    "evaluate": (
        *("split=", "split=tset", "split=[test]", "seed=1", "data=nope", "data.x=1", "data=iris"),
        *("data=npz", "data=npz data.path=../inputs.npy", "data.batch_size=0", "model=cnn", "--x"),
    ),
    "predict": ("seed=1", "x", "--to", "output_dir"),
    "export": ("seed=1", "--to", "--to run", "-x"),
    "resume": (
        *("seed=1", "loop.epochs=", "loop.epochs=two", "loop.epochs=0", "loop.epochs=1,2"),
        *("loop.epochs=1", "loop.steps=3", "loop.time_limit=soon", "loop.patience=x", "~seed"),
    ),
    "sync": ("nowhere", "--all", "output_dir", "run/images"),
}

# Most are not valid overrides; those that are start a short run at most.
LETTERS = st.text(st.sampled_from("=+~@-,.:'\"\\\\$[]{}() \té\udcff0x"), max_size=10)
KEYS = ["seed", "act", "model._target_", "loop.epochs", "data", "data.path", "hydra", "recorder"]
WRITTEN = LETTERS | st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "+", "++", "~", "-", "--"]),
    st.sampled_from(KEYS),
    st.sampled_from(["=", "==", "", ":", "."]),
    LETTERS,
)


def unchanged(_run: Path) -> None:
    """Damages nothing: the bad input is on the command line."""


class TestCommandLines:
    @pytest.mark.parametrize("name", NO_RUNS, ids=range(len(NO_RUNS)))
    @pytest.mark.parametrize("command", COMMANDS)
    def test_invalid_run_names_are_refused(self, runs: Runs, command: str, name: str) -> None:
        arguments = [name if argument == "run" else argument for argument in COMMANDS[command]]
        refuse(runs, command, unchanged, *arguments, code=2)

    @pytest.mark.parametrize("override", NO_OVERRIDES, ids=range(len(NO_OVERRIDES)))
    def test_invalid_configs_are_refused(self, runs: Runs, override: str) -> None:
        refuse(runs, "run", unchanged, *QUICK, override)
        refuse(runs, "run", unchanged, "--rerun", "run", override)
        if not override.startswith(("data", "output_dir")):
            refuse(runs, "resume", unchanged, "run", override)

    @pytest.mark.parametrize(
        ("command", "more"), [(command, more) for command in OTHERS for more in OTHERS[command]]
    )
    def test_unknown_arguments_are_refused(self, runs: Runs, command: str, more: str) -> None:
        given = ["run"] if command == "resume" else COMMANDS[command]
        if command == "sync":
            given = []
        refuse(runs, command, unchanged, *given, *more.split(" "), code=2)

    @given(command=st.sampled_from(["run", "resume", "evaluate", "sync"]), written=WRITTEN)
    @examples(40)
    def test_anything_written(self, runs: Runs, command: str, written: str) -> None:
        survive(runs, command, unchanged, *COMMANDS[command], written)

    @given(command=st.sampled_from(list(COMMANDS)), written=LETTERS)
    @examples(30)
    def test_anything_for_a_run(self, runs: Runs, command: str, written: str) -> None:
        assume(Path(written).parts[:1] != ("run",))
        given = [written if argument == "run" else argument for argument in COMMANDS[command]]
        survive(runs, command, unchanged, *given)


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "written"),
        [
            ("x.npy", None),
            ("x.npy", b""),
            ("x.npy", b"\x93NUMPY\x01\x00 and no more"),
            ("x.npy", np.zeros((3, 7))),
            ("x.npy", np.zeros((0, 8, 8, 1))),
            ("x.npy", np.zeros(())),
            ("x.npy", np.full((3, 8, 8, 1), np.inf)),
            ("x.npy", np.full((3, 8, 8, 1), "1")),
            ("x.npy", np.zeros((3, 8, 8, 1), complex)),
            ("x.npy", np.full((3, 8, 8, 1), {}, object)),
            ("x.npz", b"PK\x03\x04 and no more"),
            ("x.npz", _foreign_zip()),
            ("x.csv", b"a,b\n1,2\n"),
            ("x.png", b"\x89PNG\r\n\x1a\n and no more"),
            ("x.txt", b"1 2 3"),
            (f"{LONG}.npy", None),
        ],
        ids=range(16),
    )
    def test_invalid_inputs_are_refused(self, runs: Runs, name: str, written: Any) -> None:
        def damage(run: Path) -> None:
            if isinstance(written, bytes):
                (run.parent / name).write_bytes(written)
            elif written is not None:
                np.save(run.parent / name, written)

        refuse(runs, "predict", damage, "run", name, "out.npy")

    @pytest.mark.parametrize("name", ["run/run.json", "out.txt", "no/out.npy", f"{LONG}.npy", ""])
    def test_invalid_output_paths_are_refused(self, runs: Runs, name: str) -> None:
        refuse(runs, "predict", unchanged, "run", "../inputs.npy", name)

    @given(garble=garbling(), ending=st.sampled_from(["npy", "npz"]))
    @examples(15)
    def test_damaged_inputs(
        self, runs: Runs, garble: Callable[[bytes], bytes], ending: str
    ) -> None:
        file = io.BytesIO()
        (np.save if ending == "npy" else np.savez)(file, np.zeros((2, 8, 8, 1), np.float32))

        def damage(run: Path) -> None:
            (run.parent / f"x.{ending}").write_bytes(garble(file.getvalue()))

        survive(runs, "predict", damage, "run", f"x.{ending}", "out.npy")

    @pytest.mark.parametrize("command", ["evaluate", "sync"])
    @pytest.mark.parametrize("new", [b"no database" * 100, None], ids=["foreign", "folder"])
    def test_damaged_store_is_reported(self, runs: Runs, command: str, new: bytes | None) -> None:
        def damage(run: Path) -> None:
            store = run.parent / "outputs" / "mlflow.db"
            store.parent.mkdir()
            store.mkdir() if new is None else store.write_bytes(new)

        done, _ = survive(runs, command, damage, "run")
        assert done.code == 1
        assert "the store does not answer" in done.error + done.out
