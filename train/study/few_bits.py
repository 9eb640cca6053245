"""A study of few bits: what teaches a network of whole weights best?

Every condition goes on from the same float network, seed by seed, with the same recipe. That
network is trained with the right answer at both lengths, so that it has something to teach at T_t.
The two controls are plain training at T_s, and training with both lengths supervised: what costs
T_t steps must beat both. The network that all begin from knows less than its students at the end:
one condition is taught by the float network that had the same further epochs.
"""

from dataclasses import replace

from tssd.train.config import Method, TrainConfig

QAT = "qat at T_s"
BOTH = "qat, both lengths"
TAUGHT = "qat + float teacher"
FURTHER_TAUGHT = "qat + float teacher, further"
TSSD_TAUGHT = "qat + tssd + float teacher"
GATED = "qat + gated float teacher"
FURTHER = "float, further"
FLOAT = "float"
TEACHERS = {FURTHER_TAUGHT: FURTHER}  # whose network teaches, where it is not FLOAT's
GAMMA = 1.0  # of the float teacher where the configuration has none; ours
CONTROLS = (QAT, BOTH, FLOAT)


def few_bits_conditions(config: TrainConfig) -> dict[str, TrainConfig]:
    """Name -> configuration, the baseline first; all but ``FLOAT`` begin with its weights."""
    plain = replace(config, method=Method.CE, gamma=0.0, gated=False)
    both = replace(plain, method=Method.TSD, alpha=0.0, beta=0.0)
    gamma = config.gamma or GAMMA
    return {
        QAT: plain,
        BOTH: both,
        TAUGHT: replace(plain, gamma=gamma),
        FURTHER_TAUGHT: replace(plain, gamma=gamma),
        TSSD_TAUGHT: replace(config, method=Method.TSSD, gamma=gamma, gated=False),
        GATED: replace(plain, gamma=gamma, gated=True),
        FURTHER: replace(plain, bits=""),
        FLOAT: replace(both, bits=""),
    }
