"""What is inside files: text and its diffs, merges and line origins, likeness, keys left by mistake, and drivers.

A driver compares and merges one kind of file by what is in it (`dsvc.contents.driver`). Everything here works on
contents and knows neither history nor a working copy; callers limit sizes.
"""
