"""The file of weights."""

from torch import nn

from fraud_ae.models.persistence import save_network


def test_weights_can_be_read_by_whoever_may_read_the_folder(tmp_path):
    """A service of another user reads the model; nothing but the umask says who may."""
    save_network(nn.Linear(2, 1), tmp_path / "weights.safetensors")
    (tmp_path / "ordinary").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1
