"""Training of one job: program, executors, training loop, hooks, learners and checkpoints."""
