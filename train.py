"""Train one configuration, or sweep over many: `python train.py --help`."""

from fraud_ae.runtime.stopping import RESUMED, end_on_signals

if __name__ == "__main__":
    # First, as the imports take a second.
    end_on_signals(RESUMED)
    from fraud_ae.cli.train import main

    main()
