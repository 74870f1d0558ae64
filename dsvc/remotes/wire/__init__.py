"""The protocol of `dsvc hub serve`: both ends of it."""
