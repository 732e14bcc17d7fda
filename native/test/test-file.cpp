// Files that a caller names: regular ones are opened, all else is refused by name, and no open ever waits.

#include "file.h"
#include "gguf-file.h"
#include "test.h"

#include <cstring>
#include <filesystem>
#include <fstream>

#ifndef _WIN32
#include <atomic>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#endif

namespace fs = std::filesystem;

static std::string folder() {
    const std::string path = test_temp("files");
    fs::remove_all(fs::u8path(path));
    fs::create_directories(fs::u8path(path));
    return path;
}

static std::string written(const std::string & path, const std::string & text) {
    std::ofstream(fs::u8path(path), std::ios::binary) << text;
    return path;
}

static void check_refused(const std::string & path, sd_file_status expected, const std::string & why) {
    sd_file f;
    CHECK(sd_file_open(f, path) == expected);
    CHECK(f.stream == nullptr);
    CHECK(f.why == why);
}

static void check_regular(const std::string & dir) {
    sd_file f;
    CHECK(sd_file_open(f, written(dir + "/regular", "0123456789")) == SD_FILE_OPEN);
    CHECK(f.size == 10);
    char text[5] = {};
    CHECK(f.read(text, 4) && strcmp(text, "0123") == 0);
    CHECK(f.read_at(6, text, 4) && strcmp(text, "6789") == 0);
    CHECK(!f.read_at(8, text, 4));
    check_refused(dir + "/nothing", SD_FILE_MISSING, "does not exist");
    check_refused(dir + "/" + std::string(300, 'y'), SD_FILE_MISSING, "does not exist"); // longer than any name may be
    check_refused(dir, SD_FILE_NOT_REGULAR, "is a folder, not a regular file");
    CHECK(sd_file_obstacle(dir + "/regular").empty());
    CHECK(sd_file_obstacle(dir + "/nothing").empty());
    CHECK(sd_file_obstacle(dir) == "is a folder, not a regular file");
}

#ifndef _WIN32
static void check_special(const std::string & dir) {
    const std::string fifo = dir + "/fifo", socket_path = dir + "/socket", link = dir + "/link";
    CHECK(mkfifo(fifo.c_str(), 0600) == 0);
    CHECK(symlink(fifo.c_str(), link.c_str()) == 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, socket_path.c_str(), sizeof(address.sun_path) - 1);
    const int s = socket(AF_UNIX, SOCK_STREAM, 0);
    const bool bound = bind(s, reinterpret_cast<const sockaddr *>(&address), sizeof(address)) == 0;
    close(s);

    check_refused(fifo, SD_FILE_NOT_REGULAR, "is a named pipe (FIFO), not a regular file");
    check_refused(link, SD_FILE_NOT_REGULAR, "is a named pipe (FIFO), not a regular file");
    check_refused("/dev/zero", SD_FILE_NOT_REGULAR, "is a character device, not a regular file");
    if (bound) { // not where the temporary folder has a long path
        check_refused(socket_path, SD_FILE_NOT_REGULAR, "is a socket, not a regular file");
    }
    CHECK(sd_file_obstacle(fifo) == "is a named pipe (FIFO), not a regular file");
    gguf_file f;
    CHECK_CODE(gguf_file_open(f, fifo, "model", "MODEL_INVALID"), "MODEL_INVALID");
}

// The path is a pipe's at one moment and a file's at the next, also between the look and the opening.
static void check_exchanged(const std::string & dir) {
    const std::string path = written(dir + "/exchanged", "x"), file = written(dir + "/file", "x"), pipe = dir + "/pipe", next = dir + "/next";
    CHECK(mkfifo(pipe.c_str(), 0600) == 0);
    std::atomic<bool> stop{ false };
    std::thread other([&] {
        for (int i = 0; !stop; i++) {
            if (link((i % 2 ? file : pipe).c_str(), next.c_str()) == 0) {
                rename(next.c_str(), path.c_str());
            }
        }
    });
    int opened = 0, refused = 0, exchanged = 0;
    while (exchanged < 5) { // between the look and the opening; hundreds of thousands of tries at most
        sd_file f;
        const sd_file_status status = sd_file_open(f, path);
        char c = 0;
        CHECK(status == SD_FILE_OPEN ? f.read(&c, 1) && c == 'x' : status == SD_FILE_NOT_REGULAR);
        (status == SD_FILE_OPEN ? opened : refused)++;
        exchanged += f.why == "is no longer a regular file";
    }
    stop = true;
    other.join();
    printf("  opened %d times, refused %d times\n", opened, refused);
    CHECK(opened > 0);
}
#endif

int main() {
    return test_main("file", [] {
#ifndef _WIN32
        alarm(60); // an open that waits ends the test, and so does one that never finds the pipe
#endif
        const std::string dir = folder();
        check_regular(dir);
#ifndef _WIN32
        check_special(dir);
        check_exchanged(dir);
#endif
        fs::remove_all(fs::u8path(dir));
    });
}
