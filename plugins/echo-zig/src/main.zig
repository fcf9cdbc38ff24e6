//! Joins the logic to the world `seriatim:handler/handler`: exports what the host calls.

const wit = @import("wit.zig");
const echo = @import("echo.zig");

var result: wit.Result = .{};

fn handle(event: *const wit.Event) callconv(.c) *wit.Result {
    const failure = echo.handle(wit.allocator(), .{
        .entity = event.entity.get(),
        .sequence = event.sequence,
        .payload = event.payload.get(),
    }, wit.Header, wit.Host{}) catch @trap();
    result = .{};
    if (failure) |it| {
        result = .{ .is_failure = 1, .failure = .{ .case = @intFromEnum(it.kind), .reason = .of(it.reason) } };
    }
    return &result;
}

comptime {
    @export(&handle, .{ .name = "handle" });
    @export(&wit.realloc, .{ .name = "cabi_realloc" });
    @export(&wit.post, .{ .name = "cabi_post_handle" });
}
