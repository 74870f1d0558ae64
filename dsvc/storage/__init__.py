"""Where blobs and cells lie: the backend contract and its local and in-memory forms."""
