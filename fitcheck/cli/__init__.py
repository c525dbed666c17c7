"""The command line: parse, ask the adapters, plan, render. One file a command."""
