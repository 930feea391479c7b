"""Soberano and Condes 2025 (doi 10.6000/1929-6029.2025.14.71): attacks on four families of clinical models."""
