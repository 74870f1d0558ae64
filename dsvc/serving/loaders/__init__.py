"""One module a library: each loads its models and asks them. Imported when a model needs it."""
