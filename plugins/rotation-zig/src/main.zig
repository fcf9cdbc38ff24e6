//! Joins the logic to the world `seriatim:handler/handler`: exports what the host calls.

const wit = @import("wit.zig");
const rotation = @import("rotation.zig");

var result: wit.Result = .{};

const Host = struct {
    pub fn configGet(_: Host, key: []const u8) ?[]const u8 {
        return wit.Host.configGet(.{}, key);
    }
    pub fn stateGet(_: Host, key: []const u8) ?[]const u8 {
        return wit.Host.stateGet(.{}, key);
    }
    pub fn stateSet(_: Host, key: []const u8, value: []const u8) void {
        wit.Host.stateSet(.{}, key, value);
    }
    pub fn emit(_: Host, subject: []const u8, payload: []const u8) void {
        wit.Host.emit(.{}, subject, &.{}, payload);
    }
};

fn handle(event: *const wit.Event) callconv(.c) *wit.Result {
    const failure = rotation.handle(wit.allocator(), .{
        .entity = event.entity.get(),
        .kind = event.kind.get(),
        .payload = event.payload.get(),
    }, Host{}) catch @trap();
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
