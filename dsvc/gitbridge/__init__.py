"""Import from git and export to git."""
