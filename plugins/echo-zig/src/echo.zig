//! The smallest handler: sends every event on, with its sequence and a counter. It knows no WebAssembly: `main.zig` hands it the host, tests
//! hand it a fake one.

const std = @import("std");

/// The part of an event that is read here.
pub const Event = struct { entity: []const u8, sequence: u64, payload: []const u8 };

/// Why an event could not be handled. `retry`: it may work later; `reject`: it never will.
pub const Failure = struct { kind: enum(u8) { retry, reject }, reason: []const u8 };

/// Handles one event: counts it and sends its payload on. Memory is for the length of the call.
pub fn handle(memory: std.mem.Allocator, event: Event, Header: type, host: anytype) !?Failure {
    const to = host.configGet("to") orelse return .{ .kind = .retry, .reason = "the handler's config has no `to`" };
    const stored = host.stateGet("count") orelse "0";
    const count = 1 + (std.fmt.parseUnsigned(u64, stored, 10) catch
        return .{ .kind = .reject, .reason = "state `count` is not the expected JSON: not a whole number" });
    const digits = try std.fmt.allocPrint(memory, "{d}", .{count});
    host.stateSet("count", digits);
    const sequence = try std.fmt.allocPrint(memory, "{d}", .{event.sequence});
    const subject = try std.fmt.allocPrint(memory, "{s}.{s}", .{ to, try subjectToken(memory, event.entity) });
    const headers = [_]Header{
        .{ .name = .of("Echo-Sequence"), .value = .of(sequence) },
        .{ .name = .of("Echo-Count"), .value = .of(digits) },
    };
    host.emit(subject, &headers, event.payload);
    return null;
}

/// An entity as one token of a subject: every byte outside A-Z a-z 0-9 _ - is written =XX.
pub fn subjectToken(memory: std.mem.Allocator, entity: []const u8) ![]const u8 {
    var token: std.ArrayList(u8) = .empty;
    for (entity) |byte| switch (byte) {
        'A'...'Z', 'a'...'z', '0'...'9', '_', '-' => try token.append(memory, byte),
        else => try token.print(memory, "={X:0>2}", .{byte}),
    };
    return token.items;
}

const testing = std.testing;
const wit = @import("wit.zig");

/// One entity's counter, and what was emitted last.
const FakeHost = struct {
    to: ?[]const u8 = "echo",
    count: ?[]const u8 = null,
    subject: []const u8 = "",
    headers: [2]wit.Header = undefined,
    payload: []const u8 = "",
    sent: usize = 0,

    fn configGet(host: *FakeHost, _: []const u8) ?[]const u8 {
        return host.to;
    }
    fn stateGet(host: *FakeHost, _: []const u8) ?[]const u8 {
        return host.count;
    }
    fn stateSet(host: *FakeHost, _: []const u8, value: []const u8) void {
        host.count = value;
    }
    fn emit(host: *FakeHost, subject: []const u8, headers: []const wit.Header, payload: []const u8) void {
        host.subject = subject;
        host.headers = headers[0..2].*;
        host.payload = payload;
        host.sent += 1;
    }
};

fn handled(arena: *std.heap.ArenaAllocator, event: Event, host: *FakeHost) !?Failure {
    return handle(arena.allocator(), event, wit.Header, host);
}

test "every event is sent on with its sequence and count" {
    var arena = std.heap.ArenaAllocator.init(testing.allocator);
    defer arena.deinit();
    var host = FakeHost{};
    for ([_]u64{ 5, 6, std.math.maxInt(u64) }) |sequence| {
        try testing.expectEqual(null, try handled(&arena, .{ .entity = "N1.x", .sequence = sequence, .payload = "\x00\xff" }, &host));
    }
    try testing.expectEqual(3, host.sent);
    try testing.expectEqualStrings("echo.N1=2Ex", host.subject);
    try testing.expectEqualStrings("\x00\xff", host.payload);
    try testing.expectEqualStrings("Echo-Sequence", host.headers[0].name.get());
    try testing.expectEqualStrings("18446744073709551615", host.headers[0].value.get());
    try testing.expectEqualStrings("Echo-Count", host.headers[1].name.get());
    try testing.expectEqualStrings("3", host.headers[1].value.get());
    try testing.expectEqualStrings("3", host.count.?);
}

test "without a destination it asks to be called again" {
    var arena = std.heap.ArenaAllocator.init(testing.allocator);
    defer arena.deinit();
    var host = FakeHost{ .to = null };
    const failure = (try handled(&arena, .{ .entity = "N1", .sequence = 1, .payload = "" }, &host)).?;
    try testing.expectEqual(.retry, failure.kind);
    try testing.expectEqualStrings("the handler's config has no `to`", failure.reason);
}

test "a state that is not its own is rejected" {
    var arena = std.heap.ArenaAllocator.init(testing.allocator);
    defer arena.deinit();
    var host = FakeHost{ .count = "seven" };
    const failure = (try handled(&arena, .{ .entity = "N1", .sequence = 1, .payload = "" }, &host)).?;
    try testing.expectEqual(.reject, failure.kind);
    try testing.expectEqual(0, host.sent);
}

test "tokens" {
    var arena = std.heap.ArenaAllocator.init(testing.allocator);
    defer arena.deinit();
    try testing.expectEqualStrings("N1_a-b", try subjectToken(arena.allocator(), "N1_a-b"));
    try testing.expectEqualStrings("a=2Eb=20=2A=3E=3D=C3=A9", try subjectToken(arena.allocator(), "a.b *>=é"));
}
