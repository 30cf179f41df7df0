"""Verification that repeated and resumed trainings of a config produce the same bits.

A shortened copy of the user's job is trained whole, a second time, and interrupted and resumed,
each in a separate process. Data, journals and the states after every step are compared bit for bit.
"""
