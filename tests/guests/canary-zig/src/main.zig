//! A handler that remembers what it must not: see ../README.md.

const wit = @import("wit");

var remembered: [1 << 16]u8 = undefined;
var length: usize = 0;
var result: wit.Result = .{};

fn handle(event: *const wit.Event) callconv(.c) *wit.Result {
    const payload = event.payload.get();
    const host = wit.Host{};
    host.emit("out.globals", &[_]wit.Header{}, remembered[0..length]);
    if (payload.len <= remembered.len - length) {
        @memcpy(remembered[length..][0..payload.len], payload);
        length += payload.len;
    }
    result = .{};
    return &result;
}

comptime {
    @export(&handle, .{ .name = "handle" });
    @export(&wit.realloc, .{ .name = "cabi_realloc" });
    @export(&wit.post, .{ .name = "cabi_post_handle" });
}
