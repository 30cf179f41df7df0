"""The entry point of `python -m expt COMMAND …`."""

from expt.cli import main

if __name__ == "__main__":
    main()
