//! The command line: one file a command, one Printer for all output.
