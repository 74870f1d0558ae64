"""What is inside files: text and its diffs, merges and line origins, likeness, and keys left by mistake.

Everything here works on bytes in memory and knows neither a store nor files on disk; callers limit sizes.
"""
