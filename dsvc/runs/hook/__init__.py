"""What is put into the Python interpreters of a run, of whatever version: it imports nothing of dsvc."""
