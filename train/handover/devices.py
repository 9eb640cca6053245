"""Which devices a run may name: asked before anything is computed; torch only of those it has."""

from tssd.errors import TargetError

KINDS = ("cpu", "cuda")


def check_device(device: str) -> None:
    """TargetError unless *device* (``cpu``, ``cuda``, ``cuda:1``) is here."""
    kind, _, number = device.partition(":")
    if kind not in KINDS or (number and not number.isdecimal()) or device.endswith(":"):
        raise TargetError(f"device {device!r}", found="an unknown device", allowed=", ".join(KINDS))
    if kind == "cpu":
        return
    import torch

    if not torch.cuda.is_available():
        raise TargetError(
            f"device {device!r}",
            found="no CUDA device, or a torch built without CUDA",
            allowed="cpu",
            hint="--device cpu, or install a CUDA build of torch",
        )
    devices = torch.cuda.device_count()
    if number and int(number) >= devices:
        last = f"cuda:0 .. cuda:{devices - 1}"
        raise TargetError(f"device {device!r}", found=f"{devices} CUDA devices", allowed=last)
