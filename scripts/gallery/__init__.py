"""Draws docs/gallery.md: every attack and change on a real film, ECG, EEG and MRI volume (`make gallery`)."""
