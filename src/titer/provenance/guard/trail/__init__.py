"""What the guard tells other systems, once a decision is durable: FHIR, IHE ATNA, Prometheus, lines of JSON."""
