"""The training doctor: rules over the records of a run that name common faults and their remedy."""
