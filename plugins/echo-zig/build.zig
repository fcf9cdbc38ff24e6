//! `zig build` makes zig-out/bin/echo-zig.wasm, which the host loads as it is; `zig build test` runs the tests natively.

const std = @import("std");

pub fn build(b: *std.Build) void {
    const seriatim = b.createModule(.{ .root_source_file = b.path("../../guest-sdk/zig/seriatim.zig") });
    const handler = b.addExecutable(.{
        .name = "echo-zig",
        .root_module = b.createModule(.{
            .root_source_file = b.path("src/main.zig"),
            .target = b.resolveTargetQuery(.{ .cpu_arch = .wasm32, .os_tag = .freestanding }),
            .optimize = .ReleaseSmall,
            .strip = true,
            .imports = &.{.{ .name = "seriatim", .module = seriatim }},
        }),
    });
    handler.entry = .disabled;
    handler.rdynamic = true;
    b.installArtifact(handler);

    const tests = b.addTest(.{
        .root_module = b.createModule(.{
            .root_source_file = b.path("src/echo.zig"),
            .target = b.graph.host,
            .imports = &.{.{ .name = "seriatim", .module = seriatim }},
        }),
    });
    b.step("test", "Run the tests natively").dependOn(&b.addRunArtifact(tests).step);
}
