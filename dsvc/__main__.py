"""Run the command line as `python -m dsvc`."""

from dsvc.commands.start import main

if __name__ == "__main__":
    main()
