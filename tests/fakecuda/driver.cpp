// A stand-in for libcuda.so.1 on a machine without a GPU: unmodified pycuda code runs on the CPU.
//
// A stream is a queue that runs only when somebody waits for it or asks whether it is done, so code that reads a
// result without waiting finds the old one, every time. Mapped host memory has a device address of its own. Memory
// is filled with a pattern, guarded behind, and every copy is checked against it. Kernels go to the CPU build of the
// same sources (FAKECUDA_KERNELS). What a capture must not contain is refused, as a GPU refuses it.
//
// Faults are planted by name: standin_fail("cuGraphLaunch", 3, 719) makes the third call from now fail; "run" stands
// for every piece of work on a stream (an error that surfaces later). 700, 719 and their like stick, as they do on a
// GPU, until standin_reset. HANG makes a stream never finish.
#include "standin.h"

#define API extern "C" __attribute__((visibility("default")))

// ---- for the tests ---------------------------------------------------------------------------------------------

API void standin_fail(const char* name, long nth, int code) {
    const std::lock_guard<std::recursive_mutex> lock(state);
    faults.push_back({name, nth, code});
}
API void standin_reset() {
    const std::lock_guard<std::recursive_mutex> lock(state);
    released = true;
    faults.clear(), calls.clear();
    stuck = SUCCESS, allocations = 0, damage = 0, capturing = 0;
    for (Stream* stream : streams) stream->waiting.clear(), stream->hung = stream->capturing = false;
    limit_bytes = size_t(from_environment("FAKECUDA_MEMORY_MIB", 4096)) << 20;
    integrated = int(from_environment("FAKECUDA_INTEGRATED", 0));
    released = false;
}
API long standin_calls(const char* name) { return calls[name]; }
API long standin_all_calls() {
    long sum = 0;
    for (const auto& [name, count] : calls) sum += name == "run" ? 0 : count;
    return sum;
}
API long standin_allocations() { return allocations; }
API long standin_device_bytes() { return long(device_bytes); }
API long standin_pinned_bytes() { return long(pinned_bytes); }
API long standin_damage() { return damage; }
API int standin_stuck() {
    for (Stream* stream : streams)
        if (stream->hung) return HANG;
    return stuck;
}
API void standin_integrated(int yes) { integrated = yes; }
API void standin_limit(long bytes) { limit_bytes = size_t(bytes); }

// ---- driver, device, context -----------------------------------------------------------------------------------

API Result cuInit(unsigned) {
    ENTER("cuInit");
    if (from_environment("FAKECUDA_DEVICES", 1) == 0) return NO_DEVICE;
    if (kernel_library) return SUCCESS;
    const char* path = getenv("FAKECUDA_KERNELS");
    kernel_library = path ? dlopen(path, RTLD_NOW) : nullptr;
    standin_reset();
    if (const char* fault = getenv("FAKECUDA_FAULT")) {  // name:nth:code
        const std::string text = fault;
        const size_t code = text.rfind(':'), nth = text.rfind(':', code - 1);
        standin_fail(text.substr(0, nth).c_str(), atol(text.c_str() + nth + 1), atoi(text.c_str() + code + 1));
    }
    return SUCCESS;
}
API Result cuDriverGetVersion(int* version) { return *version = 13000, SUCCESS; }
API Result cuGetErrorString(Result code, const char** text) {
    static const std::map<Result, const char*> known = {
        {SUCCESS, "no error"}, {INVALID_VALUE, "invalid argument"}, {OUT_OF_MEMORY, "out of memory"},
        {NO_DEVICE, "no CUDA-capable device is detected"}, {NOT_FOUND, "named symbol not found"},
        {ILLEGAL_ADDRESS, "an illegal memory access was encountered"}, {LAUNCH_FAILED, "unspecified launch failure"},
        {CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing"},
    };
    const auto found = known.find(code);
    return *text = found == known.end() ? "some other error" : found->second, SUCCESS;
}
API Result cuDeviceGetCount(int* count) { ENTER("cuDeviceGetCount"); return *count = 1, SUCCESS; }
API Result cuDeviceGet(int* device, int index) {
    ENTER("cuDeviceGet");
    return *device = index, index == 0 ? SUCCESS : 101;
}
API Result cuDeviceGetName(char* name, int room, int) {
    ENTER("cuDeviceGetName");
    return strncpy(name, "stand-in (no GPU)", size_t(room)), SUCCESS;
}
API Result cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = limit_bytes, SUCCESS; }
API Result cuDeviceComputeCapability(int* major, int* minor, int) { return *major = 8, *minor = 7, SUCCESS; }
API Result cuDeviceGetAttribute(int* value, int attribute, int) {
    ENTER("cuDeviceGetAttribute");
    switch (attribute) {
        case 75: *value = 8; break;
        case 76: *value = 7; break;
        case 18: *value = integrated; break;
        case 1: *value = 1024; break;
        case 10: *value = 32; break;
        default: *value = 1;
    }
    return SUCCESS;
}
API Result cuDevicePrimaryCtxRetain(void** context, int) {
    ENTER("cuDevicePrimaryCtxRetain");
    return *context = &primary, SUCCESS;
}
API Result cuDevicePrimaryCtxRelease_v2(int) { ENTER("cuDevicePrimaryCtxRelease"); return SUCCESS; }
API Result cuCtxPushCurrent_v2(void* context) {
    ENTER("cuCtxPushCurrent");
    const std::lock_guard<std::recursive_mutex> lock(state);
    return contexts.push_back(context), SUCCESS;
}
API Result cuCtxPopCurrent_v2(void** context) {
    const std::lock_guard<std::recursive_mutex> lock(state);  // works on a dead context, or nothing could be cleaned
    if (contexts.empty()) return INVALID_CONTEXT;
    if (context) *context = contexts.back();
    return contexts.pop_back(), SUCCESS;
}
API Result cuCtxGetCurrent(void** context) { return *context = contexts.empty() ? nullptr : contexts.back(), SUCCESS; }
API Result cuCtxGetDevice(int* device) { return *device = 0, SUCCESS; }
API Result cuCtxSynchronize() {
    ENTER("cuCtxSynchronize");
    NOT_WHILE_CAPTURING;
    return finish_all();
}
API Result cuCtxAttach(void** context, unsigned) { return *context = &primary, SUCCESS; }
API Result cuCtxDetach(void*) { return SUCCESS; }

// ---- memory ----------------------------------------------------------------------------------------------------

API Result cuMemAlloc_v2(Address* address, size_t bytes) {
    ENTER("cuMemAlloc");
    NOT_WHILE_CAPTURING;
    const std::lock_guard<std::recursive_mutex> lock(state);
    if (!bytes) return INVALID_VALUE;
    if (device_bytes + bytes > limit_bytes) return OUT_OF_MEMORY;
    char* memory = static_cast<char*>(aligned_alloc(256, (bytes + GUARD_BYTES + 255) / 256 * 256));
    if (!memory) return OUT_OF_MEMORY;
    memset(memory, FRESH, bytes);
    memset(memory + bytes, GUARD, GUARD_BYTES);
    device_memory[*address = Address(memory)] = bytes;
    device_bytes += bytes, allocations++;
    return SUCCESS;
}
API Result cuMemFree_v2(Address address) {
    ENTER("cuMemFree");
    NOT_WHILE_CAPTURING;
    const std::lock_guard<std::recursive_mutex> lock(state);
    const auto found = device_memory.find(address);
    if (found == device_memory.end()) return INVALID_VALUE;
    const unsigned char* guard = reinterpret_cast<unsigned char*>(address) + found->second;
    for (size_t i = 0; i < GUARD_BYTES; i++)
        if (guard[i] != GUARD) { damage++; break; }
    device_bytes -= found->second;
    free(reinterpret_cast<void*>(address));
    return device_memory.erase(found), SUCCESS;
}
API Result cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
    return *free_bytes = limit_bytes - device_bytes, *total = limit_bytes, SUCCESS;
}
API Result cuMemHostAlloc(void** pointer, size_t bytes, unsigned flags) {
    ENTER("cuMemHostAlloc");
    NOT_WHILE_CAPTURING;
    const std::lock_guard<std::recursive_mutex> lock(state);
    if (pinned_bytes + bytes > limit_bytes) return OUT_OF_MEMORY;
    void* device = nullptr;
    if (flags & MAPPED) {
        if (const Result code = map_host(pointer, bytes, &device)) return code;
    } else if (!(*pointer = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096))) {
        return OUT_OF_MEMORY;
    }
    memset(*pointer, FRESH, bytes);
    host_memory[Address(*pointer)] = {bytes, device};
    pinned_bytes += bytes, allocations++;
    return SUCCESS;
}
API Result cuMemFreeHost(void* pointer) {
    ENTER("cuMemFreeHost");
    const std::lock_guard<std::recursive_mutex> lock(state);
    const auto found = host_memory.find(Address(pointer));
    if (found == host_memory.end() || found->second.registered) return INVALID_VALUE;
    const Host host = found->second;
    pinned_bytes -= host.bytes;
    host_memory.erase(found);
    if (!host.device) return free(pointer), SUCCESS;
    return munmap(pointer, host.bytes), munmap(host.device, host.bytes), SUCCESS;
}
API Result cuMemHostRegister_v2(void* pointer, size_t bytes, unsigned) {
    ENTER("cuMemHostRegister");
    NOT_WHILE_CAPTURING;
    const std::lock_guard<std::recursive_mutex> lock(state);
    if (Address(pointer) % 4096 || host_memory.count(Address(pointer))) return INVALID_VALUE;
    if (pinned_bytes + bytes > limit_bytes) return OUT_OF_MEMORY;
    host_memory[Address(pointer)] = {bytes, nullptr, true};
    pinned_bytes += bytes, allocations++;
    return SUCCESS;
}
API Result cuMemHostUnregister(void* pointer) {
    ENTER("cuMemHostUnregister");
    const std::lock_guard<std::recursive_mutex> lock(state);
    const auto found = host_memory.find(Address(pointer));
    if (found == host_memory.end() || !found->second.registered) return INVALID_VALUE;
    pinned_bytes -= found->second.bytes;
    return host_memory.erase(found), SUCCESS;
}
API Result cuMemHostGetDevicePointer_v2(Address* address, void* pointer, unsigned) {
    ENTER("cuMemHostGetDevicePointer");
    const std::lock_guard<std::recursive_mutex> lock(state);
    const auto found = host_memory.find(Address(pointer));
    if (found == host_memory.end() || !found->second.device) return INVALID_VALUE;
    return *address = Address(found->second.device), SUCCESS;
}

Result waited(const char* name, const std::function<Result()>& copy) {
    ENTER(name);
    NOT_WHILE_CAPTURING;
    if (const Result code = finish_all()) return code;
    const Result code = copy();
    if (sticks(code)) stuck = code;
    return code;
}
API Result cuMemcpyHtoD_v2(Address to, const void* from, size_t bytes) {
    return waited("cuMemcpyHtoD", [&] { return copy_to_device(to, from, bytes); });
}
API Result cuMemcpyDtoH_v2(void* to, Address from, size_t bytes) {
    return waited("cuMemcpyDtoH", [&] { return copy_to_host(to, from, bytes); });
}
API Result cuMemcpyDtoD_v2(Address to, Address from, size_t bytes) {
    return waited("cuMemcpyDtoD", [&] { return copy_on_device(to, from, bytes); });
}
API Result cuMemsetD8_v2(Address to, unsigned char value, size_t count) {
    return waited("cuMemsetD8", [&] { return fill(to, value, count, 1); });
}
API Result cuMemsetD32_v2(Address to, unsigned value, size_t count) {
    return waited("cuMemsetD32", [&] { return fill(to, value, count, 4); });
}
API Result cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, Stream* stream) {
    ENTER("cuMemcpyHtoDAsync");
    if (!pinned(from, bytes)) return INVALID_VALUE;  // a GPU would wait, or copy what has changed by then
    return put(stream, [=] { return copy_to_device(to, from, bytes); });
}
API Result cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, Stream* stream) {
    ENTER("cuMemcpyDtoHAsync");
    if (!pinned(to, bytes)) return INVALID_VALUE;
    return put(stream, [=] { return copy_to_host(to, from, bytes); });
}
API Result cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, Stream* stream) {
    ENTER("cuMemcpyDtoDAsync");
    return put(stream, [=] { return copy_on_device(to, from, bytes); });
}
API Result cuMemsetD8Async(Address to, unsigned char value, size_t count, Stream* stream) {
    ENTER("cuMemsetD8Async");
    return put(stream, [=] { return fill(to, value, count, 1); });
}

// ---- streams, events -------------------------------------------------------------------------------------------

API Result cuStreamCreate(Stream** stream, unsigned) {
    ENTER("cuStreamCreate");
    const std::lock_guard<std::recursive_mutex> lock(state);
    return streams.insert(*stream = new Stream), SUCCESS;
}
API Result cuStreamDestroy_v2(Stream* stream) {
    ENTER("cuStreamDestroy");
    const std::lock_guard<std::recursive_mutex> lock(state);
    if (!streams.erase(stream)) return INVALID_HANDLE;
    return delete stream, SUCCESS;
}
API Result cuStreamSynchronize(Stream* stream) {
    ENTER("cuStreamSynchronize");
    if (stream && stream->capturing) return CAPTURE_UNSUPPORTED;
    return finish(stream);
}
API Result cuStreamQuery(Stream* stream) {
    ENTER("cuStreamQuery");
    if (!stream) stream = &null_stream;
    if (stream->capturing) return CAPTURE_UNSUPPORTED;
    const std::unique_lock<std::recursive_mutex> lock(stream->running, std::try_to_lock);
    return lock.owns_lock() ? drain(stream) : NOT_READY;
}
API Result cuEventCreate(Event** event, unsigned) { ENTER("cuEventCreate"); return *event = new Event, SUCCESS; }
API Result cuEventDestroy_v2(Event* event) { return delete event, SUCCESS; }
API Result cuEventRecord(Event* event, Stream* stream) {
    ENTER("cuEventRecord");
    event->stream = stream ? stream : &null_stream;
    event->pending = true;
    return put(stream, [=] { return event->pending = false, event->at_ms = now_ms(), SUCCESS; });
}
API Result cuEventSynchronize(Event* event) {
    ENTER("cuEventSynchronize");
    return event->pending ? finish(event->stream) : SUCCESS;
}
API Result cuEventQuery(Event* event) {
    ENTER("cuEventQuery");
    return event->pending ? cuStreamQuery(event->stream) : SUCCESS;
}
API Result cuEventElapsedTime_v2(float* ms, Event* first, Event* last) {
    ENTER("cuEventElapsedTime");
    if (first->pending || last->pending) return NOT_READY;
    return *ms = float(last->at_ms - first->at_ms), SUCCESS;
}
API Result cuStreamWaitEvent(Stream* stream, Event* event, unsigned) {
    ENTER("cuStreamWaitEvent");
    return put(stream, [=] { return event->pending ? finish(event->stream) : SUCCESS; });
}
API Result cuLaunchHostFunc(Stream* stream, Result (*function)(void*), void* argument) {
    // A GPU's host functions return nothing; here a result says that the plan this one stands for has failed.
    ENTER("cuLaunchHostFunc");
    return put(stream, [=] { return function(argument); });
}

// ---- modules and launches --------------------------------------------------------------------------------------

API Result cuModuleLoadDataEx(void** module, const void* image, unsigned, void*, void*) {
    ENTER("cuModuleLoadData");
    return *module = &primary, image ? SUCCESS : INVALID_VALUE;
}
API Result cuModuleLoadData(void** module, const void* image) {
    return cuModuleLoadDataEx(module, image, 0, nullptr, nullptr);
}
API Result cuModuleUnload(void*) { ENTER("cuModuleUnload"); return SUCCESS; }
API Result cuModuleGetFunction(Function** function, void*, const char* name) {
    ENTER("cuModuleGetFunction");
    if (!kernel_library) return NOT_FOUND;
    void* launch = dlsym(kernel_library, (std::string(name) + "_cpu_packed").c_str());
    void* signature = dlsym(kernel_library, (std::string(name) + "_signature").c_str());
    if (!launch || !signature) return NOT_FOUND;
    *function = new Function{name, reinterpret_cast<decltype(Function::launch)>(launch),
                             argument_bytes(reinterpret_cast<const char* (*)()>(signature)())};
    return SUCCESS;
}
API Result cuFuncGetAttribute(int* value, int attribute, Function*) { return *value = attribute ? 0 : 1024, SUCCESS; }
API Result cuFuncSetAttribute(Function*, int, int) { return SUCCESS; }
API Result cuFuncSetCacheConfig(Function*, int) { return SUCCESS; }
API Result cuFuncSetBlockShape(Function*, int, int, int) { return SUCCESS; }
API Result cuFuncSetSharedSize(Function*, unsigned) { return SUCCESS; }
API Result cuLaunchKernel(Function* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                          unsigned shared, Stream* stream, void** parameters, void** extra) {
    ENTER("cuLaunchKernel");
    const char* buffer = nullptr;
    size_t bytes = 0;
    if (parameters || !extra) return NOT_SUPPORTED;
    for (int i = 0; extra[i]; i += 2) {
        if (extra[i] == reinterpret_cast<void*>(1)) buffer = static_cast<char*>(extra[i + 1]);
        if (extra[i] == reinterpret_cast<void*>(2)) bytes = *static_cast<size_t*>(extra[i + 1]);
    }
    if (bytes != f->argument_bytes) return INVALID_VALUE;
    std::vector<char> arguments(buffer, buffer + bytes);
    const auto launch = f->launch;
    return put(stream, [=] {
        std::vector<char> own = arguments;
        const int status = launch(gx, gy, gz, bx, by, bz, shared, own.data());
        return status == 0 ? SUCCESS : status == 3 ? MISALIGNED : LAUNCH_FAILED;
    });
}

// ---- graphs ----------------------------------------------------------------------------------------------------

API Result cuStreamBeginCapture_v2(Stream* stream, int) {
    ENTER("cuStreamBeginCapture");
    if (!stream || stream->capturing) return CAPTURE_UNSUPPORTED;
    stream->captured.clear();
    return stream->capturing = true, capturing++, SUCCESS;
}
API Result cuStreamEndCapture(Stream* stream, Graph** graph) {
    if (!stream->capturing) return CAPTURE_UNMATCHED;
    stream->capturing = false, capturing--;  // a failed capture ends as well
    ENTER("cuStreamEndCapture");
    return *graph = new Graph{std::move(stream->captured)}, SUCCESS;
}
API Result cuStreamIsCapturing(Stream* stream, int* status) { return *status = stream && stream->capturing, SUCCESS; }
API Result cuGraphInstantiateWithFlags(Graph** ready, Graph* graph, unsigned long long) {
    ENTER("cuGraphInstantiate");
    return *ready = new Graph(*graph), SUCCESS;
}
API Result cuGraphLaunch(Graph* graph, Stream* stream) {
    ENTER("cuGraphLaunch");
    for (const Work& work : graph->work) put(stream, work);
    return SUCCESS;
}
API Result cuGraphDestroy(Graph* graph) { return delete graph, SUCCESS; }
API Result cuGraphExecDestroy(Graph* graph) { ENTER("cuGraphExecDestroy"); return delete graph, SUCCESS; }

// ---- what pycuda links and the runner never calls --------------------------------------------------------------

#define UNUSED(name) API Result name() { return NOT_SUPPORTED; }
#include "unused_calls.inc"
