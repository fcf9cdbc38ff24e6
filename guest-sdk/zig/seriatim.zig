//! The world `seriatim:handler/handler@0.1.0` for Zig: what most handlers use of it, in the component model's canonical ABI for 32-bit memories.
//! There is no generator for Zig; `wit/handler.wit` is the source and says what each item means, and the host compares every signature here with
//! it when it loads the module.
//!
//! A handler is a function `handle(memory, event, host)`, made the component's by `comptime { seriatim.component(handle); }`. It takes any host that
//! has the functions of `Host`, so that tests can hand it one of their own.
//!
//! Whatever a call allocates, event and answers of the host included, comes from one arena, which is emptied after the call.

const std = @import("std");

pub const Header = struct { name: []const u8, value: []const u8 };

/// One message of the stream, decoded and in its turn.
pub const Event = struct {
    pipeline: []const u8 = "",
    entity: []const u8,
    epoch: u64 = 0,
    sequence: u64 = 1,
    id: []const u8 = "",
    kind: []const u8 = "",
    subject: []const u8 = "",
    /// In milliseconds since 1970.
    time: i64 = 0,
    stream_sequence: u64 = 1,
    headers: []const Header = &.{},
    payload: []const u8 = "",
};

/// Why an event could not be handled. `retry`: it may work later, by the pipeline's policy; `reject`: it never will.
pub const Failure = struct { kind: enum(u8) { retry, reject }, reason: []const u8 };

pub const Level = enum(u32) { trace, debug, info, warn, @"error" };

/// What a handler may ask of its host.
pub const Host = struct {
    pub fn configGet(_: Host, key: []const u8) ?[]const u8 {
        var answer: abi.Option = undefined;
        abi.config.get(abi.start(key), key.len, &answer);
        return answer.get();
    }

    pub fn stateGet(_: Host, key: []const u8) ?[]const u8 {
        var answer: abi.Option = undefined;
        abi.state.get(abi.start(key), key.len, &answer);
        return answer.get();
    }

    pub fn stateSet(_: Host, key: []const u8, value: []const u8) void {
        abi.state.set(abi.start(key), key.len, abi.start(value), value.len);
    }

    pub fn stateDelete(_: Host, key: []const u8) void {
        abi.state.delete(abi.start(key), key.len);
    }

    pub fn emit(_: Host, subject: []const u8, headers: []const Header, payload: []const u8) void {
        const lowered = arena.allocator().alloc(abi.Header, headers.len) catch @trap();
        for (lowered, headers) |*low, header| low.* = .{ .name = .of(header.name), .value = .of(header.value) };
        abi.output.emit(abi.start(subject), subject.len, abi.start(lowered), lowered.len, abi.start(payload), payload.len);
    }

    pub fn log(_: Host, level: Level, message: []const u8) void {
        abi.log.write(@intFromEnum(level), abi.start(message), message.len, null, 0);
    }
};

/// An entity as one token of a subject: every byte outside A-Z a-z 0-9 _ - is written =XX.
pub fn subjectToken(memory: std.mem.Allocator, entity: []const u8) ![]const u8 {
    var token: std.ArrayList(u8) = .empty;
    for (entity) |byte| switch (byte) {
        'A'...'Z', 'a'...'z', '0'...'9', '_', '-' => try token.append(memory, byte),
        else => try token.print(memory, "={X:0>2}", .{byte}),
    };
    return token.items;
}

/// Makes `handle(memory, event, host) !?Failure` the component's handler. An error that it returns is logged and counts as a trap.
pub fn component(comptime handle: anytype) void {
    const exported = struct {
        var result: abi.Result = .{};

        fn call(event: *const abi.Event) callconv(.c) *abi.Result {
            const failure = handle(arena.allocator(), event.lift(), Host{}) catch |err| {
                Host.log(.{}, .@"error", @errorName(err));
                @trap();
            };
            result = .{};
            if (failure) |it| {
                result = .{ .is_failure = 1, .failure = .{ .case = @intFromEnum(it.kind), .reason = .of(it.reason) } };
            }
            return &result;
        }

        /// The host asks for room for what it hands over. It never asks for room to grow.
        fn realloc(_: ?[*]u8, _: usize, alignment: usize, size: usize) callconv(.c) [*]u8 {
            // For an empty list any address that is no null pointer will do.
            if (size == 0) return @ptrFromInt(alignment);
            return arena.allocator().rawAlloc(size, .fromByteUnits(alignment), @returnAddress()) orelse @trap();
        }

        /// The host has read the result.
        fn post(_: *abi.Result) callconv(.c) void {
            _ = arena.reset(.{ .retain_with_limit = 1 << 20 });
        }
    };
    @export(&exported.call, .{ .name = "handle" });
    @export(&exported.realloc, .{ .name = "cabi_realloc" });
    @export(&exported.post, .{ .name = "cabi_post_handle" });
}

/// Memory until the end of the call.
var arena = std.heap.ArenaAllocator.init(std.heap.wasm_allocator);

/// Everything as it lies in the memory, and as it is imported.
const abi = struct {
    /// Where a slice begins. To Zig an empty one may lie anywhere; to the host it must lie inside of the memory.
    fn start(slice: anytype) @TypeOf(slice.ptr) {
        return if (slice.len == 0) @ptrFromInt(@alignOf(std.meta.Child(@TypeOf(slice)))) else slice.ptr;
    }

    const Bytes = extern struct {
        ptr: [*]const u8,
        len: usize,

        fn of(slice: []const u8) Bytes {
            return .{ .ptr = start(slice), .len = slice.len };
        }

        fn get(bytes: Bytes) []const u8 {
            return bytes.ptr[0..bytes.len];
        }
    };

    const Header = extern struct { name: Bytes, value: Bytes };

    const Event = extern struct {
        pipeline: Bytes,
        entity: Bytes,
        epoch: u64,
        sequence: u64,
        id: Bytes,
        kind: Bytes,
        subject: Bytes,
        time: i64,
        stream_sequence: u64,
        headers: extern struct { ptr: [*]const abi.Header, len: usize },
        payload: Bytes,

        fn lift(event: *const abi.Event) seriatim.Event {
            const headers = arena.allocator().alloc(seriatim.Header, event.headers.len) catch @trap();
            for (headers, event.headers.ptr) |*header, low| header.* = .{ .name = low.name.get(), .value = low.value.get() };
            return .{
                .pipeline = event.pipeline.get(),
                .entity = event.entity.get(),
                .epoch = event.epoch,
                .sequence = event.sequence,
                .id = event.id.get(),
                .kind = event.kind.get(),
                .subject = event.subject.get(),
                .time = event.time,
                .stream_sequence = event.stream_sequence,
                .headers = headers,
                .payload = event.payload.get(),
            };
        }
    };

    /// `result<_, failure>`.
    const Result = extern struct {
        is_failure: u8 = 0,
        /// `retry` is 0, `reject` 1.
        failure: extern struct { case: u8, reason: Bytes } = .{ .case = 0, .reason = .{ .ptr = undefined, .len = 0 } },
    };

    const Option = extern struct {
        is_some: u8,
        value: Bytes,

        fn get(option: Option) ?[]const u8 {
            return if (option.is_some == 0) null else option.value.get();
        }
    };

    const config = struct {
        extern "seriatim:handler/config@0.1.0" fn get(key: [*]const u8, key_len: usize, answer: *Option) void;
    };
    const state = struct {
        extern "seriatim:handler/state@0.1.0" fn get(key: [*]const u8, key_len: usize, answer: *Option) void;
        extern "seriatim:handler/state@0.1.0" fn set(key: [*]const u8, key_len: usize, value: [*]const u8, value_len: usize) void;
        extern "seriatim:handler/state@0.1.0" fn delete(key: [*]const u8, key_len: usize) void;
    };
    const log = struct {
        extern "seriatim:handler/log@0.1.0" fn write(level: u32, message: [*]const u8, len: usize, fields: ?*const anyopaque, count: usize) void;
    };
    const output = struct {
        extern "seriatim:handler/output@0.1.0" fn emit(
            subject: [*]const u8,
            subject_len: usize,
            headers: [*]const abi.Header,
            headers_len: usize,
            payload: [*]const u8,
            payload_len: usize,
        ) void;
    };
};

const seriatim = @This();
