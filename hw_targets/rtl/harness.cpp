// A host for the Verilated mesh: orders of 32-bit words on stdin, answers on stdout.
//
//   1 n (address data) x n     write over the host port
//   2 n address x n            read these after every step from now on
//   3 n                        run n steps; after each: its clocks, the number of arrivals,
//                              (core, axon, clock) of each, and what was to be read
//   4 n                        run n steps without a word about them
//
// An order that is none, or one that is cut off, ends the program with 2; a step that does not end
// with 3.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "Vtssd_mesh.h"
#include "ports.h"

namespace {

using Word = uint32_t;
const Word RUN = 0x3ffu << 22;  // the mesh in place of a core, its word 0
const Word CLOCKS = RUN | 4;
const Word WRITE = 1, READ = 2;
const int READ_CLOCKS = 3;  // from an address to what lies there

Vtssd_mesh mesh;
uint64_t clocks = 0;

void tick() {
    mesh.clk = 0;
    mesh.eval();
    mesh.clk = 1;
    mesh.eval();
    ++clocks;
}

void host(Word address, Word data, Word what) {
    mesh.host[0] = address;
    mesh.host[1] = data;
    mesh.host[2] = what;
}

void write(Word address, Word data) {
    host(address, data, WRITE);
    tick();
    host(0, 0, 0);
}

Word read(Word address) {
    host(address, 0, READ);
    for (int i = 0; i < READ_CLOCKS; ++i) tick();
    const Word found = mesh.host_out;
    host(0, 0, 0);
    return found;
}

Word order() {
    Word word = 0;
    if (std::fread(&word, sizeof word, 1, stdin) != 1) std::exit(2);
    return word;
}

void answer(const std::vector<Word>& words) {
    std::fwrite(words.data(), sizeof(Word), words.size(), stdout);
}

// One step; what arrives goes to `arrivals` where that is wanted.
void step(std::vector<Word>* arrivals, uint64_t most) {
    write(RUN, 1);
    for (uint64_t spent = 0; mesh.busy; ++spent) {
        if (spent > most) std::exit(3);
        if (arrivals) watch(mesh, *arrivals);
        tick();
    }
}

}  // namespace

int main(int count, char** words) {
    uint64_t most = 0;
    if (count != 2 || std::sscanf(words[1], "%llu", (unsigned long long*)&most) != 1) return 2;
    mesh.rst = 1;
    tick();
    mesh.rst = 0;
    std::vector<Word> wanted;
    Word kind = 0;
    while (std::fread(&kind, sizeof kind, 1, stdin) == 1) {
        const Word number = order();
        if (kind == 1) {
            for (Word i = 0; i < number; ++i) {
                const Word address = order();
                write(address, order());
            }
        } else if (kind == 2) {
            wanted.resize(number);
            for (Word& address : wanted) address = order();
        } else if (kind == 3) {
            for (Word i = 0; i < number; ++i) {
                std::vector<Word> arrivals, found;
                step(&arrivals, most);
                found.push_back(read(CLOCKS));
                found.push_back(arrivals.size() / 3);
                found.insert(found.end(), arrivals.begin(), arrivals.end());
                for (Word address : wanted) found.push_back(read(address));
                answer(found);
            }
        } else if (kind == 4) {
            for (Word i = 0; i < number; ++i) step(nullptr, most);
        } else {
            return 2;
        }
    }
    std::fprintf(stderr, "%llu clocks\n", (unsigned long long)clocks);
    return 0;
}
