//! A handler that remembers what it must not: see ../README.md.

const std = @import("std");
const seriatim = @import("seriatim");

var remembered: [1 << 16]u8 = undefined;
var length: usize = 0;

/// Reaches the limit that the event's type names.
fn overdo(memory: std.mem.Allocator, kind: []const u8, host: seriatim.Host) !void {
    var round: usize = 0;
    while (std.mem.eql(u8, kind, "spin")) std.mem.doNotOptimizeAway(kind.ptr);
    while (std.mem.eql(u8, kind, "grow")) @memset(try memory.alloc(u8, 1 << 20), 1);
    while (std.mem.eql(u8, kind, "fill")) : (round += 1) {
        host.stateSet(try std.fmt.allocPrint(memory, "k{d}", .{round}), remembered[0..1000]);
    }
    while (std.mem.eql(u8, kind, "chatter")) host.log(.info, "and on");
}

fn handle(memory: std.mem.Allocator, event: seriatim.Event, host: seriatim.Host) !?seriatim.Failure {
    try overdo(memory, event.kind, host);
    host.emit("out.globals", &.{}, remembered[0..length]);
    if (event.payload.len <= remembered.len - length) {
        @memcpy(remembered[length..][0..event.payload.len], event.payload);
        length += event.payload.len;
    }
    host.stateDelete("nothing");
    host.log(.debug, "remembered");
    return null;
}

comptime {
    seriatim.component(handle);
}
