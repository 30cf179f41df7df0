"""TensorBoard with an HParams tab for runs with different parameters.

Run as a module, with TensorBoard's flags.
"""

import copy
from collections.abc import Mapping
from typing import Any

from absl import app
from tensorboard import default, main_lib, program
from tensorboard.data.provider import TensorTimeSeries
from tensorboard.plugins.hparams import metadata, plugin_data_pb2
from tensorboard.plugins.hparams.hparams_plugin import HParamsPlugin
from tensorboard.plugins.scalar import metadata as scalar_metadata

from expt.servers.columns import make_experiment, unify_parameters


def main() -> None:
    """Serves until the process is stopped."""
    main_lib.global_init()
    # TensorBoard has no option to replace a plugin, so this does what its own `main` does.
    plugins = [MixedHParams if one is HParamsPlugin else one for one in default.get_plugins()]
    board = program.TensorBoard(plugins=plugins)
    app.run(board.main, flags_parser=board.configure)


class MixedHParams(HParamsPlugin):  # type: ignore[misc]
    """The HParams plugin, with the same parameters for all runs and selected columns."""

    def __init__(self, context: Any) -> None:
        # Copied, since all plugins share the context and only this one may see other parameters.
        context = copy.copy(context)
        context.data_provider = _UnifiedParameters(context.data_provider)
        super().__init__(context)


class _UnifiedParameters:
    """A data provider that gives all runs the same parameters, and defines the columns.

    Both are computed at each request, since runs may begin while TensorBoard serves.
    """

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def list_tensors(self, ctx: Any, **arguments: Any) -> Mapping[str, Mapping[str, Any]]:
        """Returns the wrapped provider's tensors, with unified sessions and the columns."""
        found = self._provider.list_tensors(ctx, **arguments)
        sessions = {
            run: metadata.parse_session_start_info_plugin_data(start.plugin_content)
            for run, tags in found.items()
            if (start := tags.get(metadata.SESSION_START_INFO_TAG)) is not None
        }
        if not sessions:
            return found  # type: ignore[no-any-return]
        scalars = self._provider.list_scalars(
            ctx,
            experiment_id=arguments["experiment_id"],
            plugin_name=scalar_metadata.PLUGIN_NAME,
        )
        sessions = unify_parameters(sessions)
        tags = {run: list(scalars.get(run, ())) for run in sessions}
        unified = {run: dict(series) for run, series in found.items()}
        for run, session in sessions.items():
            unified[run][metadata.SESSION_START_INFO_TAG] = _series(session_start_info=session)
        # The plugin looks for the experiment in all runs, so any run will do.
        experiment = make_experiment(sessions, tags)
        unified[next(iter(sessions))][metadata.EXPERIMENT_TAG] = _series(experiment=experiment)
        return unified


def _series(**content: Any) -> Any:
    data = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content)
    return TensorTimeSeries(
        max_step=0,
        max_wall_time=0.0,
        plugin_content=data.SerializeToString(),
        description="",
        display_name="",
    )


if __name__ == "__main__":
    main()
