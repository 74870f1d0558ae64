"""What goes between two repositories: choosing it, sending it, receiving it."""
