"""The paper's grid of runs: what to run, running it, and the tables that come of it."""
