"""The values that pass between the rooms: frozen, plain, without arithmetic."""
