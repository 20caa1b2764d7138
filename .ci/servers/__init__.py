"""What ``.ci/services`` starts: one module for each server, the processes beneath them, and the command."""
