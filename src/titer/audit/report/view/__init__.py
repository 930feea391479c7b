"""What the page shows, prepared from the report: tables, figures, cases. Templates only lay it out."""
