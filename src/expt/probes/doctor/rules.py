"""The rules of the training doctor, in the order in which their findings are shown."""

from collections.abc import Callable, Iterator, Mapping

from expt.probes.doctor import data_rules, layer_rules, loss_rules
from expt.probes.doctor.facts import Facts
from expt.probes.doctor.findings import Finding

Rule = Callable[[Facts], Iterator[Finding]]

# Causes come before their consequences.
RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        loss_rules.non_finite_loss,
        data_rules.constant_labels,
        data_rules.unscaled_inputs,
        data_rules.initial_loss,
        layer_rules.no_gradient,
        layer_rules.vanishing_gradients,
        layer_rules.exploding_gradients,
        layer_rules.dead_units,
        layer_rules.saturated_units,
        loss_rules.beyond_stability,
        layer_rules.update_ratio,
        loss_rules.unstable_loss,
        data_rules.shuffled_labels,
        loss_rules.not_learning,
        data_rules.ignored_classes,
        loss_rules.overfitting,
        loss_rules.not_converged,
    )
}
"""The rules by name, which is the `rule` of their findings."""
