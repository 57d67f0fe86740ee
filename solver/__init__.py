"""Search: prompts, search methods, and running many instructions."""
