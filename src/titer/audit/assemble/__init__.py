"""From results to a report: every block of the report made from tables, one file per kind of block."""
