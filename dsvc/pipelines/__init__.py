"""Stages of a pipeline: what `dsvc.toml` says, which stage needs which, and what one is known by."""
