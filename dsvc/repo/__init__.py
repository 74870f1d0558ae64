"""A repository: one store, one operation log, no verbs."""
