"""The way to a host over SSH: by the user's own ssh or by paramiko."""
