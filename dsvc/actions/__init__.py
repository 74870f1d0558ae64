"""One module a verb; nothing is exported here."""
