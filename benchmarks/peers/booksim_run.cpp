// Runs a list of messages through BookSim 2 as the SANA-FE project builds it, and says how long it
// took: booksim_run TRAFFIC SETTING... ; a line of TRAFFIC is: source core, target core, cycles
// until the source has the message ready, cycles that the target works on it.
#include "booksim_lib.hpp"

#include <fstream>
#include <iostream>

int main(int argc, char **argv)
{
    auto config = std::make_shared<BookSimConfig>(
            booksim_load_config(std::vector<std::string>(argv + 2, argv + argc)));
    std::ifstream traffic(argv[1]);
    const std::pair<std::string, int> neuron("n", 0);
    int source, target;
    double ready, work;
    while (traffic >> source >> target >> ready >> work)
    {
        booksim_create_spike_event(0, neuron, {source / 4, source % 4},
                {target / 4, target % 4}, ready, work);
    }
    const double cycles = booksim_run(config); // prints its statistics first
    std::cout << "cycles:" << cycles << std::endl;
}
