//! A handler that remembers what it must not: see ../README.md.

const std = @import("std");
const seriatim = @import("seriatim");

var remembered: [1 << 16]u8 = undefined;
var length: usize = 0;

fn handle(_: std.mem.Allocator, event: seriatim.Event, host: seriatim.Host) !?seriatim.Failure {
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
