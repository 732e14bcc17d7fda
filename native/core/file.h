#pragma once

// Regular files that a caller names. Opening a named pipe waits for a program at its other end, and so may a device; a
// thread that waits there sees no cancel flag and cannot be joined. So nothing else than a regular file is opened.

#include <cstdint>
#include <cstdio>
#include <string>

enum sd_file_status {
    SD_FILE_OPEN,
    SD_FILE_MISSING,
    SD_FILE_NOT_REGULAR,
    SD_FILE_UNREADABLE,
};

// A regular file open for reading; closed by its destructor.
struct sd_file {
    std::FILE * stream = nullptr;
    uint64_t size = 0;
    std::string why; // what is wrong where it is not open, such as "is a named pipe (FIFO), not a regular file"

    sd_file() = default;
    ~sd_file();
    sd_file(const sd_file &) = delete;
    sd_file & operator=(const sd_file &) = delete;

    // all of the n bytes, or false
    bool read(void * data, size_t n);
    bool read_at(uint64_t offset, void * data, size_t n);
};

// Symbolic links are followed. Never waits.
sd_file_status sd_file_open(sd_file & file, const std::string & path);

// Why a file cannot be written there: "is a folder, not a regular file"; empty where nothing or a regular file is.
std::string sd_file_obstacle(const std::string & path);
