//! The component: what the host calls is the logic in `echo.zig`.

comptime {
    @import("seriatim").component(@import("echo.zig").handle);
}
