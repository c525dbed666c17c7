"""The terminal interface: one widget a file, one reactive Plan in the app.

What has no Textual in it (choices, fields, the command line, the plot's
drawing) stands in modules of its own and is tested without a terminal.
"""
