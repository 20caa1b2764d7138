"""One model per port: what the port does, in a page, without any thought of speed."""
