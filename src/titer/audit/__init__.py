"""The audit: a plan becomes trials, trials become findings, findings become a report."""
