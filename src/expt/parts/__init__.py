"""The parts that configs choose from: only what Keras lacks."""
