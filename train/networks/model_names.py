"""The names of the networks in ``models``, for whoever lists them without building one."""

MODEL_NAMES = (
    "tiny",
    "vgg-small",
    "vgg-9",
    "resnet-18",
    "resnet-19",
    "ms-resnet-18",
    "sew-resnet-34",
)
