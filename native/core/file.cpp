#include "file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#ifdef _WIN32
#include <io.h>
#else
#include <unistd.h>
#endif

namespace fs = std::filesystem;

static const char * kind_of(fs::file_type type) {
    switch (type) {
        case fs::file_type::directory: return "a folder";
        case fs::file_type::fifo:      return "a named pipe (FIFO)";
        case fs::file_type::socket:    return "a socket";
        case fs::file_type::character: return "a character device";
        case fs::file_type::block:     return "a block device";
        default:                       return "of an unknown kind";
    }
}

static std::string not_regular(fs::file_type type) {
    return std::string("is ") + kind_of(type) + ", not a regular file";
}

sd_file::~sd_file() {
    if (stream) {
        std::fclose(stream);
    }
}

bool sd_file::read(void * data, size_t n) {
    return std::fread(data, 1, n, stream) == n;
}

bool sd_file::read_at(uint64_t offset, void * data, size_t n) {
#ifdef _WIN32
    const bool found = _fseeki64(stream, int64_t(offset), SEEK_SET) == 0;
#else
    const bool found = fseeko(stream, off_t(offset), SEEK_SET) == 0;
#endif
    return found && read(data, n);
}

// Opens without waiting. The path may name something else than a moment ago, so that is looked at again.
static sd_file_status open_stream(sd_file & file, const fs::path & p) {
#ifdef _WIN32
    struct _stat64 st;
    const int fd = _wopen(p.c_str(), _O_RDONLY | _O_BINARY);
    const bool known = fd >= 0 && _fstat64(fd, &st) == 0;
    const bool regular = known && (st.st_mode & _S_IFMT) == _S_IFREG;
    file.stream = regular ? _fdopen(fd, "rb") : nullptr;
#else
    struct stat st;
    const int fd = ::open(p.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    const bool known = fd >= 0 && fstat(fd, &st) == 0;
    const bool regular = known && S_ISREG(st.st_mode);
    file.stream = regular ? fdopen(fd, "rb") : nullptr;
#endif
    if (file.stream) {
        file.size = uint64_t(st.st_size);
        return SD_FILE_OPEN;
    }
    file.why = known && !regular ? "is no longer a regular file" : std::string("could not be opened: ") + strerror(errno);
    if (fd >= 0) {
#ifdef _WIN32
        _close(fd);
#else
        ::close(fd);
#endif
    }
    return known && !regular ? SD_FILE_NOT_REGULAR : SD_FILE_UNREADABLE;
}

sd_file_status sd_file_open(sd_file & file, const std::string & path) {
    const fs::path p = fs::u8path(path);
    std::error_code ec;
    // looked at before it is opened, since opening alone wakes the writer of a pipe
    const fs::file_type type = fs::status(p, ec).type();
    // no file can have a name that the file system does not take
    if (type == fs::file_type::not_found || ec == std::errc::filename_too_long) {
        file.why = "does not exist";
        return SD_FILE_MISSING;
    }
    if (type == fs::file_type::none) {
        file.why = "could not be looked at: " + ec.message();
        return SD_FILE_UNREADABLE;
    }
    if (type != fs::file_type::regular) {
        file.why = not_regular(type);
        return SD_FILE_NOT_REGULAR;
    }
    return open_stream(file, p);
}

std::string sd_file_obstacle(const std::string & path) {
    std::error_code ec;
    const fs::file_type type = fs::status(fs::u8path(path), ec).type();
    const bool free = type == fs::file_type::not_found || type == fs::file_type::regular;
    return free ? "" : type == fs::file_type::none ? "could not be looked at: " + ec.message() : not_regular(type);
}
