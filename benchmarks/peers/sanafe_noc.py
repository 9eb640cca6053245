"""Runs inside an environment that holds sanafe (and not tssd): messages through its cycle mode.

python sanafe_noc.py traffic.npz result.json     (arrays source, target, ready: core, core, ns)

Each message is a neuron that fires once, in the soma unit that takes as long as the message's gap;
everything else in the chip takes no time, so that the time of the step is that of the network.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import sanafe  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

HEAD = """architecture:
  name: mesh
  attributes: {topology: mesh, width: 8, height: 4, link_buffer_size: 16, sync_model: fixed, latency_sync: 0.0}
  tile:
    - name: tile[0..31]
      attributes: {energy_north_hop: 0.0, latency_north_hop: 0.0, energy_east_hop: 0.0, latency_east_hop: 0.0,
        energy_south_hop: 0.0, latency_south_hop: 0.0, energy_west_hop: 0.0, latency_west_hop: 0.0}
      core:
        - name: core[0..3]
          attributes: {buffer_position: soma, buffer_inside_unit: false, max_neurons_supported: 100000}
          axon_in:
            - {name: in, attributes: {energy_message_in: 0.0, latency_message_in: 0.0}}
          synapse:
            - {name: synapse, attributes: {model: current_based, energy_process_spike: 0.0, latency_process_spike: 0.0}}
          dendrite:
            - {name: dendrite, attributes: {model: accumulator, energy_update: 0.0, latency_update: 0.0}}
          axon_out:
            - {name: out, attributes: {energy_message_out: 0.0, latency_message_out: 0.0}}
          soma:
"""  # noqa: E501
UNIT = (
    "            - {{name: gap_{0}, attributes: {{model: leaky_integrate_fire,"
    " energy_access_neuron: 0.0, latency_access_neuron: 0.0,"
    " energy_update_neuron: 0.0, latency_update_neuron: 0.0,"
    " energy_spike_out: 0.0, latency_spike_out: {0}.0e-9}}}}\n"
)


def main(traffic: str, result: str) -> None:
    arrays = np.load(traffic)
    gaps = arrays["ready"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mesh.yaml"
        path.write_text(HEAD + "".join(UNIT.format(g) for g in sorted(set(gaps.tolist()))))
        arch = sanafe.load_arch(str(path))
    cores = [core for tile in arch.tiles for core in tile.cores]
    network = sanafe.Network()
    ends = network.create_neuron_group("ends", len(cores))
    for i, core in enumerate(cores):
        ends[i].set_attributes(soma_hw_name=f"gap_{gaps[0]}")
        ends[i].map_to_core(core)
    starts = network.create_neuron_group("starts", len(gaps))
    for i, (source, target, gap) in enumerate(
        zip(arrays["source"].tolist(), arrays["target"].tolist(), gaps.tolist(), strict=True)
    ):
        starts[i].set_attributes(
            soma_hw_name=f"gap_{gap}",
            model_attributes={"threshold": 1.0, "bias": 2.0, "force_update": True},
        )
        starts[i].connect_to_neuron(ends[target], {"weight": 1.0})
        starts[i].map_to_core(cores[source])
    chip = sanafe.SpikingChip(arch)
    chip.load(network)
    found = chip.sim(1, timing_model="cycle")
    Path(result).write_text(
        json.dumps({"ns": found["sim_time"] * 1e9, "messages": found["packets_sent"]})
    )


if __name__ == "__main__":
    main(*sys.argv[1:3])
