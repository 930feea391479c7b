"""What assessors ask, and what of it this report answers: tables as data, states computed from the report's content."""
