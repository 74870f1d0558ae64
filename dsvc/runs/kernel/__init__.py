"""What executes notebooks, in whatever interpreter has nbclient: it imports nothing of dsvc."""
