"""What people see while a command runs: lines, progress, names, and what Ctrl-C does."""
