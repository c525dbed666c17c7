"""Where Models and Machines come from: profiles, names people type, files."""
