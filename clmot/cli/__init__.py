"""The `clmot` command: one file a subcommand, which parses, calls and prints."""
