"""Libraries of other tools, in dsvc's words: scripts written for them run unchanged and are recorded here."""
