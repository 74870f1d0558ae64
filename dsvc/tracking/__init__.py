"""Record runs from Python: what `import dsvc` offers to scripts and notebooks. Imported when it is first used."""
