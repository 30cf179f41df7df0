"""The terms of a training loss, such as the data loss and penalties, and the gradient of each.

Training itself needs only the gradient of their sum, see `expt.train.step`.
"""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from expt.train.adversarial_losses import adversarial_losses
from expt.train.input.batch import Batch, mean_loss
from expt.train.objective import Function, outputs_of
from expt.train.step import Stateless, Term, Terms, mixed_loss, states_of


def supervised_terms(
    model: keras.Model, loss: Function, optimizer: keras.optimizers.Optimizer
) -> Terms:
    """Returns the terms of supervised training: `data`, and `penalty.LAYER` for each penalty.

    The terms add up to the loss of `make_train_step` with the same arguments, and their gradients
    to its gradient. Under mixed_float16 the gradients, but not the values, are multiplied by the
    optimizer's loss scale. The batch is never split into micro-batches.
    """
    variables, states = model.trainable_variables, states_of([model])

    def terms_of(
        weights: Sequence[tf.Tensor], batch: Batch, state_values: Sequence[tf.Tensor]
    ) -> Mapping[str, Term]:
        # Persistent, as it is read once for each term.
        tape = tf.GradientTape(persistent=True, watch_accessed_variables=False)
        with tape, Stateless(variables, weights, states, state_values) as scope:
            tape.watch(weights)
            outputs = outputs_of(model, batch.inputs, training=True)
            data = mean_loss(mixed_loss(loss, batch, outputs), batch.weights)
            penalties = penalties_of(model, scope)
            values = {"data": data, **{f"penalty.{name}": p for name, p in penalties.items()}}
            scaled = {name: optimizer.scale_loss(value) for name, value in values.items()}
        sources = scope.weights()
        return {
            name: Term(value, tape.gradient(scaled[name], sources))
            for name, value in values.items()
        }

    return terms_of


def adversarial_terms(
    generator: keras.Model,
    discriminator: keras.Model,
    loss: Function,
    generator_optimizer: keras.optimizers.Optimizer,
    discriminator_optimizer: keras.optimizers.Optimizer,
    noise_seed: keras.random.SeedGenerator,
) -> Terms:
    """Returns the terms of an adversarial pair, as defined by `make_adversarial_step`.

    They are `generator`, and the two halves of the discriminator's loss, `discriminator.real` and
    `discriminator.generated`. Each has gradients for the weights of its own network only.
    """
    networks = [generator, discriminator]
    variables = [v for network in networks for v in network.trainable_variables]
    states = [*states_of(networks), noise_seed.state]
    count = len(generator.trainable_variables)

    def terms_of(
        weights: Sequence[tf.Tensor], batch: Batch, state_values: Sequence[tf.Tensor]
    ) -> Mapping[str, Term]:
        tape = tf.GradientTape(persistent=True, watch_accessed_variables=False)
        with tape, Stateless(variables, weights, states, state_values) as scope:
            tape.watch(weights)
            pair = adversarial_losses(generator, discriminator, loss, batch, noise_seed)
            scaled = [
                generator_optimizer.scale_loss(pair.generator),
                discriminator_optimizer.scale_loss(pair.real / 2),
                discriminator_optimizer.scale_loss(pair.generated / 2),
            ]
        sources = scope.weights()
        none = [None] * len(sources)
        of_generator = tape.gradient(scaled[0], sources[:count])
        of_real, of_generated = (tape.gradient(one, sources[count:]) for one in scaled[1:])
        return {
            "generator": Term(pair.generator, [*of_generator, *none[count:]]),
            "discriminator.real": Term(pair.real / 2, [*none[:count], *of_real]),
            "discriminator.generated": Term(pair.generated / 2, [*none[:count], *of_generated]),
        }

    return terms_of


def penalties_of(model: keras.Model, scope: Stateless) -> dict[str, tf.Tensor]:
    """Returns the penalties of a model by layer.

    They are the losses that a layer added in the last call, and the regularizers of its weights.
    Their sum is `expt.train.objective.penalty_of`.

    Args:
        model: The model.
        scope: The context of the call.
    """
    found: dict[str, list[tf.Tensor]] = {}
    for layer in model._flatten_layers():
        # Keras has no public name for the losses of a layer without those of the layers inside.
        for loss in layer._get_own_losses():
            found.setdefault(layer.name, []).append(loss)
    names = layer_names(model)
    for variable, value in zip(model.trainable_variables, scope.weights(), strict=True):
        if variable.regularizer is not None:
            found.setdefault(names[id(variable)], []).append(variable.regularizer(value))
    return {
        name: tf.add_n([tf.cast(loss, tf.float32) for loss in losses])
        for name, losses in found.items()
    }


def layer_names(network: keras.Model) -> dict[int, str]:
    """Returns the name of the layer of each trainable variable, by the variable's id.

    A nested layer is named with its parent, as in `multi_head_attention.query`, since two attention
    layers both contain a `query`.
    """
    models = {layer.name for layer in network._flatten_layers() if isinstance(layer, keras.Model)}
    names = {}
    for variable in network.trainable_variables:
        *path, own_name = variable.path.split("/")
        # Only a model that builds its own layers, such as a Sequential one, puts its name at the
        # start of their paths.
        if len(path) > 1 and path[0] in models:
            path = path[1:]
        # Not joined by a slash, which separates the group of a metric from its name.
        names[id(variable)] = ".".join(path[-2:]) or own_name
    return names
