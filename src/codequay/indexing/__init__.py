"""From a source to chunks in the stores: decode, scan, chunk, stage, seal, publish."""
