// Drives the fuzz target where there is no libFuzzer: fuzz-headers RUNS FILE... damages each file RUNS times.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);

int main(int argc, char ** argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: fuzz-headers RUNS FILE...\n");
        return 2;
    }
    const int runs = atoi(argv[1]);
    for (int i = 2; i < argc; i++) {
        std::ifstream in(argv[i], std::ios::binary);
        const std::vector<char> good((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
        if (good.empty()) {
            fprintf(stderr, "%s could not be read\n", argv[i]);
            return 2;
        }
        for (int run = 0; run < runs; run++) {
            std::mt19937 random{ uint32_t(run) };
            // headers are where the readers look
            const size_t reach = std::min<size_t>(good.size(), random() % 2 ? 256 : 16384);
            for (uint8_t reader = 0; reader < 8; reader++) { // four readers, the file as it is and with zeros behind
                std::vector<uint8_t> data(1, reader);
                data.insert(data.end(), good.begin(), good.end());
                for (unsigned n = random() % 8; n > 0; n--) {
                    data[1 + random() % reach] = uint8_t(random());
                }
                if (random() % 8 == 0) {
                    data.resize(1 + random() % good.size());
                }
                LLVMFuzzerTestOneInput(data.data(), data.size());
            }
        }
    }
    printf("%d files, %d runs of 8 readings each, nothing found\n", argc - 2, runs);
    return 0;
}
