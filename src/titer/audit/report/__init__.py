"""The report: its format, its words, its page."""
