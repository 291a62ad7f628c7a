"""What users see: lines, progress, names, and how a command ends."""
