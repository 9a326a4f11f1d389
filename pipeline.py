"""All stages one after another, with the gate: `python pipeline.py --help`."""

from fraud_ae.cli.pipeline import main

if __name__ == "__main__":
    main()
