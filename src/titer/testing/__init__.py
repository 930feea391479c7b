"""Public contract checks, so that somebody else's attack, data set or statistic proves itself in one line."""
