"""Resuming an interrupted run in its directory, and extending a finished one."""
