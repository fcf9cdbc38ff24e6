//! The world `seriatim:handler/handler@0.1.0` for Zig, in the component model's canonical ABI for 32-bit memories. There is no generator for
//! Zig; `wit/handler.wit` is the source, and the host compares every signature here with it when it loads the module.
//!
//! Whatever a call allocates, event and answers of the host included, comes from one arena, which is emptied after the call.

const std = @import("std");

pub const Bytes = extern struct {
    ptr: [*]const u8,
    len: usize,

    pub fn of(slice: []const u8) Bytes {
        return .{ .ptr = slice.ptr, .len = slice.len };
    }

    pub fn get(bytes: Bytes) []const u8 {
        return bytes.ptr[0..bytes.len];
    }
};

pub const Header = extern struct { name: Bytes, value: Bytes };

pub const Event = extern struct {
    pipeline: Bytes,
    entity: Bytes,
    epoch: u64,
    sequence: u64,
    id: Bytes,
    kind: Bytes,
    subject: Bytes,
    time: i64,
    stream_sequence: u64,
    headers: extern struct { ptr: [*]const Header, len: usize },
    payload: Bytes,
};

/// `result<_, failure>`.
pub const Result = extern struct {
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
};
const output = struct {
    extern "seriatim:handler/output@0.1.0" fn emit(
        subject: [*]const u8,
        subject_len: usize,
        headers: [*]const Header,
        headers_len: usize,
        payload: [*]const u8,
        payload_len: usize,
    ) void;
};

/// What a handler may ask of its host. Tests have a host of their own with the same functions.
pub const Host = struct {
    pub fn configGet(_: Host, key: []const u8) ?[]const u8 {
        var answer: Option = undefined;
        config.get(key.ptr, key.len, &answer);
        return answer.get();
    }

    pub fn stateGet(_: Host, key: []const u8) ?[]const u8 {
        var answer: Option = undefined;
        state.get(key.ptr, key.len, &answer);
        return answer.get();
    }

    pub fn stateSet(_: Host, key: []const u8, value: []const u8) void {
        state.set(key.ptr, key.len, value.ptr, value.len);
    }

    pub fn emit(_: Host, subject: []const u8, headers: []const Header, payload: []const u8) void {
        output.emit(subject.ptr, subject.len, headers.ptr, headers.len, payload.ptr, payload.len);
    }
};

var arena = std.heap.ArenaAllocator.init(std.heap.wasm_allocator);

/// Memory until the end of the call.
pub fn allocator() std.mem.Allocator {
    return arena.allocator();
}

/// The host asks for room for what it hands over. It never asks for room to grow.
pub fn realloc(_: ?[*]u8, _: usize, alignment: usize, size: usize) callconv(.c) [*]u8 {
    // For an empty list any address that is no null pointer will do.
    if (size == 0) return @ptrFromInt(alignment);
    return arena.allocator().rawAlloc(size, .fromByteUnits(alignment), @returnAddress()) orelse @trap();
}

/// The host has read the result.
pub fn post(_: *Result) callconv(.c) void {
    _ = arena.reset(.{ .retain_with_limit = 1 << 20 });
}
