"""`make bench`: how fast each stage is, each row beside its anchor in the same run."""
