"""Titer measures how robust clinical AI models are."""
