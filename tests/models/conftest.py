import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Threads cost far more than they gain on so few rows."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
