"""Papers repeated: one folder each, with its plans, the figures it prints and where it prints them."""
