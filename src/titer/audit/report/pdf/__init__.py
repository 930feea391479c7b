"""The report as a document for archives: PDF/A-3a and PDF/UA-1, with the data it was made from inside."""
