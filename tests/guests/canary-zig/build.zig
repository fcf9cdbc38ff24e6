//! `zig build` makes zig-out/bin/canary-zig.wasm.

const std = @import("std");

pub fn build(b: *std.Build) void {
    const seriatim = b.createModule(.{ .root_source_file = b.path("../../../guest-sdk/zig/seriatim.zig") });
    const handler = b.addExecutable(.{
        .name = "canary-zig",
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
}
