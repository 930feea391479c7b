"""Reference models: four clinical stand-ins on which everything is measured."""
