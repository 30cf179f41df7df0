"""Data sources, which load a `Dataset`.

Nothing in this package imports TensorFlow when it is imported, so that mistakes in the options
of a source are reported within a second.
"""
