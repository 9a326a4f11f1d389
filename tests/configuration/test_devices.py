"""Where several processes cannot train one network."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from fraud_ae.configuration.checks import check
from fraud_ae.errors import UserError
from fraud_ae.sweeps.plugins import register
from tests.conftest import CONF

TOGETHER = ("trainer.devices=2", "trainer.strategy=ddp")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trainer.devices=2"], "one is trainer.devices=1 trainer.strategy=auto"),
        (["trainer.strategy=ddp"], "several processes are trainer.devices=2"),
        ([*TOGETHER, "stage=production"], "for a single run, not for stage=production"),
        ([*TOGETHER, "trainer.accelerator=mps"], "not with trainer.accelerator=mps"),
        ([*TOGETHER, "trainer.batch_size=1"], "at most trainer.batch_size=1"),
    ],
)
def test_what_cannot_be_done_together_is_refused(arguments, told):
    register()
    with initialize_config_dir(str(CONF)):
        settings = OmegaConf.to_container(compose("train", overrides=arguments), resolve=True)
    with pytest.raises(UserError, match=told):
        check(settings)
