"""``python -m tssd``."""

from tssd.cli import main

if __name__ == "__main__":
    main()
