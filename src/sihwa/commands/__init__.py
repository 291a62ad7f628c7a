"""The command line: options in, one library call, exit codes and one-line errors out."""
