"""The forms in which a program is stored, one a folder."""
