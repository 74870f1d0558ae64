"""Questions asked of commits and trees: ancestors, revisions, differences, merges."""
