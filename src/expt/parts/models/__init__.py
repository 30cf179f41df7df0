"""Models: functions that build a Keras model ending in logits."""
