"""Train one configuration, or sweep over many: `python train.py --help`."""

from fraud_ae.cli.train import main

if __name__ == "__main__":
    main()
