//! The component: what the host calls is the logic in `rotation.zig`.

comptime {
    @import("seriatim").component(@import("rotation.zig").handle);
}
