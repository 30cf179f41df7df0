"""Recording: one small protocol and its sinks."""
