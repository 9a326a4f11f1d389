"""`python -m fraud_ae`: the commands for a model in production."""

from fraud_ae.cli.app import main

if __name__ == "__main__":
    main()
