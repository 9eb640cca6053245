"""Layouts as their user wants them: synapse formats, input from outside; soft resets on Loihi 1."""

import json
from dataclasses import replace

import numpy as np
import pytest
from networks import conv, dense, lif, mlp, random_tally

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    PopulationKind,
    Reset,
    interval,
    plain_population,
)
from tssd.errors import ConfigError, TargetError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.counters import count
from tssd.hw_targets.costs.energy import price
from tssd.hw_targets.mapping.choices import (
    NO_CHOICE,
    Choices,
    InputFrom,
    SynapseFormat,
    parse_formats,
)
from tssd.hw_targets.mapping.fit import fit, told_of_fit, told_of_placement
from tssd.hw_targets.mapping.manual import manual_placement
from tssd.hw_targets.mapping.placement import Placement, place
from tssd.hw_targets.mapping.rules import amount_of, resource_word

CHIP, LOIHI1 = load_chip("loihi2"), load_chip("loihi1")
OUTSIDE = Choices(input_from=InputFrom.OUTSIDE)
WORD = CHIP.bits.memory_word.count // 8


def memory(placement: Placement, name: str) -> int:
    return sum(placement.needs[core].memory_bytes for core in placement.cores_of(name))


def stored(
    network: IntNetwork, formats: dict[str, str] | None = None, chip: ChipSpec = CHIP
) -> Placement:
    wanted = {name: SynapseFormat(text) for name, text in (formats or {}).items()}
    return place(network, chip, choices=Choices(wanted))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fc0", "--format: found fc0; allowed: PROJECTION=dense, =sparse or =conv"),
        ("fc0=spars", "did you mean 'sparse'"),
        ("=dense", "--format: found =dense"),
    ],
)
def test_a_format_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_formats((text,))


def test_one_projection_has_one_format() -> None:
    found = parse_formats(("a=b=dense", "c->d=conv", " e  -> f=sparse"))
    assert found == {"a=b": "dense", "c -> d": "conv", "e -> f": "sparse"}
    with pytest.raises(ConfigError, match="found a twice"):
        parse_formats(("a=dense", "a=sparse"))


def test_what_a_network_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"projection 'input->fc1'"):
        place(mlp(4, 3), CHIP, choices=Choices({"input->fc1": SynapseFormat.DENSE}))
    (only,) = mlp(4, 3).projections
    with pytest.raises(ConfigError, match="=conv: found a matrix, which has no kernels to share"):
        stored(mlp(4, 3), {only.name: "conv"})


def test_each_format_takes_its_memory_and_counts_at_its_price() -> None:
    """Dense: a row for every source. Sparse: one for each that has a synapse. The operations of a
    run are the same, whichever is chosen."""
    network = mlp(6, 5)
    (only,) = network.projections
    weight = np.ones((5, 6), np.int64)
    weight[:, 2:] = 0
    network = replace(network, projections=(replace(only, weight=weight),))
    name, tally = only.name, random_tally(network, 3)
    found = {}
    for text, words in (("dense", 6 * 2), ("sparse", 2 * 2)):  # 90 and 115 bits a row
        placement = stored(network, {name: text})
        assert memory(placement, network.readout.name) == words * WORD
        counters = count(network, tally, placement, CHIP)
        found[text] = counters.total(f"synop_{text}")
        others = {"dense", "sparse", "conv"} - {text}
        assert sum(counters.total(f"synop_{other}") for other in others) == 0
    assert found["dense"] == found["sparse"] > 0
    placed = place(network, CHIP)
    assert memory(placed, network.readout.name) == 4 * WORD
    assert placed.stored[-1] == {name: SynapseFormat.SPARSE}


def test_a_convolution_stored_as_a_matrix_has_a_row_for_each_source() -> None:
    """4 x 4 pixels, a 3 x 3 kernel: 4 corners reach 4 targets, 8 edges 6 and 4 in the middle 9. On
    the Loihi 1 that others fitted a kernel's operation costs less than a row's."""
    source, target = plain_population("input", (1, 4, 4), PopulationKind.INPUT), lif("c", (1, 4, 4))
    kernel = conv(source, target, np.random.default_rng(0))
    kernel = replace(kernel, weight=np.ones((1, 1, 3, 3), np.int64))
    network = replace(mlp(4, 3), populations=(source, target), projections=(kernel,))
    chip, tally = load_chip("loihi1-sanafe"), random_tally(network, 4)
    kept = stored(network, chip=chip)
    assert memory(kept, "c") == 9 * WORD  # a row for each tap
    energies = [price(count(network, tally, kept, chip), chip).part("synapse").nominal]
    for text, index in (("sparse", chip.bits.sparse_index.count), ("dense", 0)):
        placed = stored(network, {kernel.name: text}, chip)
        each, header = chip.bits.weight.count + index, chip.bits.row_header.count
        synapses = [4] * 4 + [6] * 8 + [9] * 4
        if text == "dense":
            each, synapses = chip.bits.weight.count + chip.bits.row_index.count, [16] * 16
        assert memory(placed, "c") == WORD * sum(-(-(n * each + header) // 64) for n in synapses)
        counted = count(network, tally, placed, chip)
        assert counted.total(f"synop_{text}") == sum(counted.synops().values())
        energies.append(price(counted, chip).part("synapse").nominal)
    assert energies[0] < energies[1] < energies[2]  # 24.0, 33.6 and 35.5 pJ an operation


def test_a_format_that_no_core_can_hold_is_refused_with_the_layer() -> None:
    source = plain_population("input", (4, 40, 40), PopulationKind.INPUT)
    target = lif("fc0", (4, 1, 1))
    tight = CHIP.with_value("limits.synaptic_memory_per_core", 1000)
    rows = dense(source, target, np.random.default_rng(0))
    wide = replace(mlp(4, 3), populations=(source, target), projections=(rows,))
    name = wide.projections[0].name
    with pytest.raises(TargetError, match=r"(?s)fc0, one neuron alone: the synapses of a core fit"):
        stored(wide, {name: "dense"}, tight)


def test_choices_are_kept_by_the_file_and_read_again() -> None:
    network = mlp(6, 5, 4)
    name = network.projections[1].name
    wanted = Choices({name: SynapseFormat.SPARSE}, InputFrom.OUTSIDE)
    placed = place(network, CHIP, choices=wanted)
    table = json.loads(placed.to_json())
    assert table["input_from"] == "outside"
    assert table["formats"] == {name: "sparse"}
    again = manual_placement(table, network, CHIP)
    assert again.choices == wanted
    assert again.to_json() == placed.to_json()
    plain = json.loads(place(network, CHIP).to_json())
    assert not {"input_from", "formats"} & set(plain)


def test_input_from_outside_takes_no_core_and_is_charged_for_none() -> None:
    network = mlp(40, 30, 10)
    chip = CHIP.with_value("limits.neurons_per_core", 10)
    tally = random_tally(network, 1)
    inside, outside = place(network, chip), place(network, chip, choices=OUTSIDE)
    assert (inside.cores, outside.cores) == (8, 4)
    assert (outside.places, outside.port, outside.cores_of("input")) == (5, 4, ())
    assert outside.sites[-1].tolist() == [0, 0, 0, chip.mesh.cores_per_router.count]
    assert fit(network, chip, OUTSIDE).cores == 4
    assert [layer.name for layer in fit(network, chip, OUTSIDE).layers] == ["fc0", "fc1"]
    counted = count(network, tally, outside, chip)
    assert counted.enabled == 4
    assert counted.neuron_updates()["input"] == 0
    assert counted.by_population("spike")["input"] == tally.events["input"].sum() > 0
    assert counted.by_population("message_in") == (
        count(network, tally, inside, chip).by_population("message_in")
    )
    hops_alone = price(counted, chip).layer("input")
    dearer = chip.with_value("energy_pj.message_out", 1e6).with_value("energy_pj.spike", 1e6)
    assert price(counted, dearer).layer("input") == hops_alone
    assert any("takes no core" in line for line in told_of_placement(network, chip, outside))


def test_cores_gather_where_the_input_enters() -> None:
    """With next to no traffic behind it, the first layer sits around the corner."""
    network = mlp(400, 16, 2)
    chip = CHIP.with_value("limits.neurons_per_core", 1)
    placed = place(network, chip, choices=OUTSIDE)
    first = placed.sites[list(placed.cores_of("fc0"))]
    assert first[:, 1:3].sum(axis=1).max() <= 3


def test_a_bias_cannot_come_from_outside() -> None:
    network = mlp(5, 4, 3)
    driven = replace(network.populations[1], name="input")
    network = replace(
        network,
        populations=(driven, network.populations[2]),
        projections=(replace(network.projections[1], source="input"),),
        input_coding=InputCoding.BIAS,
    )
    with pytest.raises(ConfigError, match="outside: found input that input takes as a bias"):
        place(network, CHIP, choices=OUTSIDE)


def soft() -> IntNetwork:
    return mlp(300, 600, 5, reset=Reset.SOFT)


def test_a_soft_reset_on_loihi_1_takes_two_compartments_and_a_synapse_onto_itself() -> None:
    """In limits, counts, traffic and energy; one compartment, and no such synapse, for a hard
    reset, for a readout, and on Loihi 2."""
    network, hard = soft(), mlp(300, 600, 5)
    chip = LOIHI1.with_value("limits.synaptic_memory_per_core", 1 << 22)
    (held,) = (x for x in fit(network, chip).layers if x.name == "fc0")
    (plain,) = (x for x in fit(hard, chip).layers if x.name == "fc0")
    assert (held.cores, plain.cores) == (2, 1)  # 1,200 and 600 of 1,024 compartments
    assert held.most.compartments == 2 * held.most.neurons == held.most.state_words // 2
    placed, tally = place(network, chip), random_tally(network, 2)
    counted, before = (
        count(network, tally, placed, chip),
        count(hard, tally, place(hard, chip), chip),
    )
    steps = tally.samples * interval(network)
    assert counted.neuron_updates()["fc0"] == 2 * 600 * steps
    assert before.neuron_updates()["fc0"] == 600 * steps
    spikes = int(tally.events["fc0"].sum())
    itself = next(p for p in counted.projections if p.name == "fc0: reset")
    assert (itself.synops, itself.messages, itself.kind) == (spikes, spikes, "dense")
    (need,) = {placed.needs[core].axons_in for core in placed.cores_of("fc0")}
    assert need == 300 + 300  # sources, and the neurons on each core
    flat = count(network, tally, place(network, CHIP), CHIP)
    assert flat.neuron_updates()["fc0"] == 600 * steps
    assert not any(p.name.endswith("reset") for p in flat.projections)
    for other, on in ((network, CHIP), (hard, chip)):
        assert told_of_placement(other, on, place(other, on)) == ()
    (line,) = told_of_placement(network, chip, placed)
    assert "takes 2 compartments a neuron on loihi1-nahuku" in line
    assert "fullest core: fc0 600 of 1,024, fc1 10 of 1,024" in line
    assert told_of_fit(network, chip, NO_CHOICE, fit(network, chip)) == (line,)


def test_output_axons_count_the_synapse_onto_itself() -> None:
    chip = LOIHI1.with_value("limits.synaptic_memory_per_core", 1 << 22)
    placed = place(soft(), chip)
    for core in placed.cores_of("fc0"):
        assert placed.needs[core].axons_out == 2 * placed.needs[core].neurons
    again = manual_placement(json.loads(placed.to_json()), soft(), chip)
    assert again.needs == placed.needs


def test_compartments_are_named_where_a_chip_has_them() -> None:
    assert resource_word("compartments", LOIHI1) == "compartments"
    assert resource_word("compartments", CHIP) == "neurons"
    assert amount_of("compartments", 512, 1024) == "512 of 1,024"
    assert amount_of("memory_bytes", 512, 4096) == "0.5 of 4.0 KiB"
