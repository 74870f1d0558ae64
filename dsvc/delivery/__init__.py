"""What follows a change: gates on metrics, the steps of `[delivery]`, files for other services."""
