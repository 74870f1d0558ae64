"""Objects and how they are stored: ids, codec, sorted map, chunks, packs, store."""
