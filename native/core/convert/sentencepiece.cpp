// Reads a SentencePiece model: protocol buffers, of which only the pieces (field 1: text, score, type) are of interest.

#include "tokenizer.h"

#include "file.h"

#include <cmath>
#include <cstring>

static const uint64_t MAX_BYTES = 64u << 20; // of the file

namespace {

// what is left of a message; every read is checked against its end
struct message {
    const std::string & path;
    const unsigned char *at, *end;

    [[noreturn]] void damaged() const { throw checkpoint_invalid(path, "is not a SentencePiece model, or is damaged: download it again"); }

    uint64_t varint() {
        uint64_t v = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            if (at == end) {
                damaged();
            }
            const unsigned char byte = *at++;
            v |= uint64_t(byte & 0x7f) << shift;
            if (byte < 0x80) {
                return v;
            }
        }
        damaged();
    }

    message sub(uint64_t n) {
        if (n > uint64_t(end - at)) {
            damaged();
        }
        message m{ path, at, at + n };
        at += n;
        return m;
    }

    // the next field: number and kind
    std::pair<uint64_t, int> field() {
        const uint64_t tag = varint();
        return { tag >> 3, int(tag & 7) };
    }

    void skip(int kind) {
        switch (kind) {
            case 0:  varint(); break;
            case 1:  sub(8); break;
            case 2:  sub(varint()); break;
            case 5:  sub(4); break;
            default: damaged();
        }
    }
};

sentencepiece read_piece(message m) {
    sentencepiece p;
    while (m.at != m.end) {
        const auto [number, kind] = m.field();
        if (number == 1 && kind == 2) {
            const message text = m.sub(m.varint());
            p.text.assign(reinterpret_cast<const char *>(text.at), size_t(text.end - text.at));
        } else if (number == 2 && kind == 5) {
            memcpy(&p.score, m.sub(4).at, sizeof(float)); // little-endian, as all hosts are
        } else if (number == 3 && kind == 0) {
            const uint64_t type = m.varint();
            if (type < 1 || type > 6) {
                m.damaged();
            }
            p.type = int(type); // the same numbers as llama.cpp's
        } else {
            m.skip(kind);
        }
    }
    if (!std::isfinite(p.score)) {
        m.damaged();
    }
    return p;
}

} // namespace

std::vector<sentencepiece> sentencepiece_read(const std::filesystem::path & file, size_t most) {
    const std::string path = file.u8string();
    sd_file in;
    if (sd_file_open(in, path) != SD_FILE_OPEN) {
        throw checkpoint_invalid(path, in.why);
    }
    if (in.size > MAX_BYTES) {
        throw checkpoint_invalid(path, "is too large for a tokenizer: download it again");
    }
    std::vector<unsigned char> bytes(in.size);
    if (!in.read(bytes.data(), bytes.size())) {
        throw sd_error("IO_ERROR", "Checkpoint file " + path + " could not be read");
    }
    message m{ path, bytes.data(), bytes.data() + bytes.size() };
    std::vector<sentencepiece> out;
    while (m.at != m.end) {
        const auto [number, kind] = m.field();
        if (number != 1 || kind != 2) {
            m.skip(kind);
            continue;
        }
        out.push_back(read_piece(m.sub(m.varint())));
        if (out.size() > most) {
            throw checkpoint_invalid(path, sd_format("has more than the %zu tokens of vocab_size in config.json", most));
        }
    }
    if (out.empty()) {
        m.damaged();
    }
    return out;
}
