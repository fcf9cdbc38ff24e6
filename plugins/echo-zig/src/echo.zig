//! The smallest handler: sends every event on, with its sequence and a counter. It knows no WebAssembly: `main.zig` hands it the host, tests
//! hand it a fake one.

const std = @import("std");
const seriatim = @import("seriatim");
const Event = seriatim.Event;
const Failure = seriatim.Failure;

/// Handles one event: counts it and sends its payload on. Memory is for the length of the call.
pub fn handle(memory: std.mem.Allocator, event: Event, host: anytype) !?Failure {
    const to = host.configGet("to") orelse return .{ .kind = .retry, .reason = "the handler's config has no `to`" };
    const stored = host.stateGet("count") orelse "0";
    const count = 1 + (std.fmt.parseUnsigned(u64, stored, 10) catch
        return .{ .kind = .reject, .reason = "state `count` is not the expected JSON: not a whole number" });
    const digits = try std.fmt.allocPrint(memory, "{d}", .{count});
    host.stateSet("count", digits);
    const sequence = try std.fmt.allocPrint(memory, "{d}", .{event.sequence});
    const subject = try std.fmt.allocPrint(memory, "{s}.{s}", .{ to, try seriatim.subjectToken(memory, event.entity) });
    host.emit(subject, &.{ .{ .name = "Echo-Sequence", .value = sequence }, .{ .name = "Echo-Count", .value = digits } }, event.payload);
    return null;
}

const testing = std.testing;

/// One entity's counter, and what was emitted last.
const FakeHost = struct {
    to: ?[]const u8 = "echo",
    count: ?[]const u8 = null,
    subject: []const u8 = "",
    headers: [2]seriatim.Header = undefined,
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
    fn emit(host: *FakeHost, subject: []const u8, headers: []const seriatim.Header, payload: []const u8) void {
        host.subject = subject;
        host.headers = headers[0..2].*;
        host.payload = payload;
        host.sent += 1;
    }
};

fn handled(arena: *std.heap.ArenaAllocator, event: Event, host: *FakeHost) !?Failure {
    return handle(arena.allocator(), event, host);
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
    try testing.expectEqualStrings("Echo-Sequence", host.headers[0].name);
    try testing.expectEqualStrings("18446744073709551615", host.headers[0].value);
    try testing.expectEqualStrings("Echo-Count", host.headers[1].name);
    try testing.expectEqualStrings("3", host.headers[1].value);
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
    try testing.expectEqualStrings("N1_a-b", try seriatim.subjectToken(arena.allocator(), "N1_a-b"));
    try testing.expectEqualStrings("a=2Eb=20=2A=3E=3D=C3=A9", try seriatim.subjectToken(arena.allocator(), "a.b *>=é"));
}
