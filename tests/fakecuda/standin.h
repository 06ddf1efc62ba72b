// What the stand-in driver keeps: memory, streams as queues, planted faults. driver.cpp tells the whole idea.
#pragma once
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

typedef int Result;
typedef uintptr_t Address;

namespace {

enum : Result {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_CONTEXT = 201, INVALID_HANDLE = 400,
    NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700, MISALIGNED = 716, LAUNCH_FAILED = 719,
    NOT_SUPPORTED = 801, CAPTURE_UNSUPPORTED = 900, CAPTURE_UNMATCHED = 903, HANG = -1,
};
constexpr size_t GUARD_BYTES = 256;
constexpr unsigned char FRESH = 0xA5, GUARD = 0x5A;
constexpr unsigned MAPPED = 2;

typedef std::function<Result()> Work;

struct Stream {
    bool capturing = false, hung = false;
    std::vector<Work> captured;
    std::deque<Work> waiting;
    std::recursive_mutex running;
};
struct Event {
    Stream* stream = nullptr;
    bool pending = false;
    double at_ms = 0;
};
struct Graph {
    std::vector<Work> work;
};
struct Function {
    std::string name;
    int (*launch)(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, char*);
    size_t argument_bytes;
};
struct Host {
    size_t bytes;
    void* device;  // the second mapping, or null
    bool registered = false;
};
struct Fault {
    std::string name;
    long after;
    Result code;
};

std::recursive_mutex state;
std::map<Address, size_t> device_memory;
std::map<Address, Host> host_memory;
std::map<std::string, long> calls;
std::vector<Fault> faults;
std::set<Stream*> streams;
std::vector<void*> contexts;
Stream null_stream;
void* kernel_library = nullptr;
std::atomic<Result> stuck{SUCCESS};
std::atomic<bool> released{false};
size_t device_bytes = 0, pinned_bytes = 0, limit_bytes = size_t(4) << 30;
long allocations = 0, damage = 0;
int integrated = 0, capturing = 0;
char primary;

long from_environment(const char* name, long otherwise) {
    const char* text = getenv(name);
    return text ? atol(text) : otherwise;
}

bool sticks(Result code) { return code == 214 || code == ILLEGAL_ADDRESS || (code >= 715 && code <= 719) || code == 999; }

double now_ms() {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What a call answers before it does anything: an error that stuck, or a planted one.
Result enter(const char* name) {
    const std::lock_guard<std::recursive_mutex> lock(state);
    calls[name]++;
    if (stuck) return stuck;
    for (size_t i = 0; i < faults.size(); i++) {
        if (faults[i].name != name && faults[i].name != "*") continue;
        if (--faults[i].after > 0) continue;
        const Result code = faults[i].code;
        faults.erase(faults.begin() + long(i));
        if (sticks(code)) stuck = code;
        return code;
    }
    return SUCCESS;
}
#define ENTER(name) if (const Result planted = enter(name)) return planted
#define NOT_WHILE_CAPTURING if (capturing) return CAPTURE_UNSUPPORTED

// ---- memory ----------------------------------------------------------------------------------------------------

bool within(Address from, size_t bytes) {
    const std::lock_guard<std::recursive_mutex> lock(state);
    auto next = device_memory.upper_bound(from);
    if (next != device_memory.begin()) {
        --next;
        if (from >= next->first && from + bytes <= next->first + next->second) return true;
    }
    for (const auto& [address, host] : host_memory) {
        const Address device = Address(host.device);
        if (device && from >= device && from + bytes <= device + host.bytes) return true;
    }
    return false;
}

bool pinned(const void* from, size_t bytes) {
    const std::lock_guard<std::recursive_mutex> lock(state);
    auto next = host_memory.upper_bound(Address(from));
    if (next == host_memory.begin()) return false;
    --next;
    return Address(from) + bytes <= next->first + next->second.bytes;
}

Result copy_to_device(Address to, const void* from, size_t bytes) {
    if (!within(to, bytes)) return ILLEGAL_ADDRESS;
    memcpy(reinterpret_cast<void*>(to), from, bytes);
    return SUCCESS;
}

Result copy_to_host(void* to, Address from, size_t bytes) {
    if (!within(from, bytes)) return ILLEGAL_ADDRESS;
    memcpy(to, reinterpret_cast<void*>(from), bytes);
    return SUCCESS;
}

Result copy_on_device(Address to, Address from, size_t bytes) {
    if (!within(from, bytes) || !within(to, bytes)) return ILLEGAL_ADDRESS;
    memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes);
    return SUCCESS;
}

Result fill(Address to, unsigned value, size_t count, size_t width) {
    if (!within(to, count * width)) return ILLEGAL_ADDRESS;
    for (size_t i = 0; i < count; i++) memcpy(reinterpret_cast<char*>(to) + i * width, &value, width);
    return SUCCESS;
}

Result map_host(void** pointer, size_t bytes, void** device) {
    const int file = memfd_create("standin", 0);
    if (file < 0 || ftruncate(file, off_t(bytes))) return OUT_OF_MEMORY;
    void* host = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    *device = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (host == MAP_FAILED || *device == MAP_FAILED) return OUT_OF_MEMORY;
    *pointer = host;
    return SUCCESS;
}

// ---- streams ---------------------------------------------------------------------------------------------------

Result put(Stream* stream, Work work) {
    if (!stream) stream = &null_stream;
    const std::lock_guard<std::recursive_mutex> lock(stream->running);
    if (stream->capturing) stream->captured.push_back(std::move(work));
    else stream->waiting.push_back(std::move(work));
    return SUCCESS;
}

// Runs all that waits on a stream. Work runs without the state's lock: it may call Python, which calls us.
Result drain(Stream* stream) {
    while (!stream->hung && !stream->waiting.empty()) {
        const Result planted = enter("run");
        if (planted == HANG) stream->hung = true;
        if (planted) return planted == HANG ? NOT_READY : planted;
        const Work work = std::move(stream->waiting.front());
        stream->waiting.pop_front();
        const Result code = work();
        if (code && sticks(code)) stuck = code;
        if (code) return code;
    }
    return stream->hung ? NOT_READY : stuck.load();
}

Result finish(Stream* stream) {
    if (!stream) stream = &null_stream;
    Result code;
    {
        const std::lock_guard<std::recursive_mutex> lock(stream->running);
        code = drain(stream);
    }
    while (code == NOT_READY && stream->hung && !released) usleep(1000);
    return code;
}

Result finish_all() {
    Result code = finish(&null_stream);
    std::set<Stream*> all;
    {
        const std::lock_guard<std::recursive_mutex> lock(state);
        all = streams;
    }
    for (Stream* stream : all)
        if (const Result failed = finish(stream)) code = failed;
    return code;
}

// How long pycuda's argument buffer has to be for a kernel's signature.
size_t argument_bytes(const char* signature) {
    size_t end = 0;
    for (; *signature; signature++) {
        const size_t size = *signature == 'P' ? 8 : 4;
        end = (end + size - 1) / size * size + size;
    }
    return end;
}

}  // namespace
