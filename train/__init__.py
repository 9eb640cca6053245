"""Training: from data to the float network that is handed to calibration.

Read the rooms in this order; each imports only those above it.

``data/``      data sets, recordings, the simulated camera
``handover/``  FloatNetwork, the value that leaves this stage, and its reference run
``recording/`` a user's snnTorch module, read from what it does and compared with its network
``config``     everything a training run depends on
``named``      code that a user names, imported only where it is trusted
``networks/``  SpikingNet with its heads, its kernels, a user's module, stripping
``quantization/``  training with few bits, in the integers that are deployed
``losses/``    self-distillation and penalties, pure functions of tensors
``loop/``      one training run: step, schedule, checkpoint, record
``study/``     many runs compared, seed by seed
"""
