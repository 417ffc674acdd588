"""Applications as people write them: files, folders and bundles, read without harm."""
