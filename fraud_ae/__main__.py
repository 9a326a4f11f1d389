"""`fraud-ae` and `python -m fraud_ae`: the commands for a model in production."""

from fraud_ae.runtime.stopping import end_on_signals


def main() -> None:
    """Run the command line."""
    # First, as the imports take a second.
    end_on_signals("the same command can be given again")
    from fraud_ae.cli.app import main as command

    command()


if __name__ == "__main__":
    main()
