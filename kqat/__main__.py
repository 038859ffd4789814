"""`python -m kqat` is the command `kqat`."""

from kqat.cli import main

if __name__ == "__main__":
    main()
