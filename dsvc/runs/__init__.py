"""Runs: what was executed, on what, with what result. Records, their notes, the journal of a run, the derived index."""
