"""The proof that a config's repeats and resumed runs give the same bits."""
