"""One command a module; `app.py` lists them."""
