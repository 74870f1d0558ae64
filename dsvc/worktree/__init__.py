"""The files on disk: index, scan, ignore rules, checkout."""
