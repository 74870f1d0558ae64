"""One module a command line verb; nothing is exported here."""
