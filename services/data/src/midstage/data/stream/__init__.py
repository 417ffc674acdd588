"""Topics in, files out: reading records, keeping chunks, closing hours, making downloads."""
