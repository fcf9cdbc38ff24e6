//! JSON at the edges: what is read must be exactly as the contract says, what is written is the same bytes for the same value. Parsing is the
//! standard library's, told to leave numbers as they are written: 2.0 is no whole number.

const std = @import("std");
const Allocator = std.mem.Allocator;

/// An object that is being read. `at` is the member that was looked at last, for errors.
pub const Reader = struct {
    members: std.json.ObjectMap = undefined,
    at: []const u8 = "",

    pub fn of(memory: Allocator, written: []const u8) !Reader {
        const value = try std.json.parseFromSliceLeaky(std.json.Value, memory, written, .{ .parse_numbers = false });
        return if (value == .object) .{ .members = value.object } else error.NotAnObject;
    }

    fn member(from: *Reader, name: []const u8) !std.json.Value {
        from.at = name;
        return from.members.get(name) orelse error.Missing;
    }

    pub fn text(from: *Reader, name: []const u8) ![]const u8 {
        const value = try from.member(name);
        return if (value == .string) value.string else error.NotText;
    }

    pub fn whole(from: *Reader, T: type, name: []const u8) !T {
        const value = try from.member(name);
        if (value != .number_string) return error.NotANumber;
        return digits(T, value.number_string) orelse error.NotAWholeNumberOfThisSize;
    }

    pub fn wholeOrNull(from: *Reader, T: type, name: []const u8) !?T {
        if (try from.member(name) == .null) return null;
        return try from.whole(T, name);
    }

    pub fn object(from: *Reader, name: []const u8) !Reader {
        const value = try from.member(name);
        return if (value == .object) .{ .members = value.object } else error.NotAnObject;
    }

    pub fn objectOrNull(from: *Reader, name: []const u8) !?Reader {
        if (try from.member(name) == .null) return null;
        return try from.object(name);
    }
};

/// Decimal digits as a number, with a minus where the type has one and it is not zero; null for anything else.
pub fn digits(T: type, written: []const u8) ?T {
    const unsigned = if (std.mem.startsWith(u8, written, "-")) written[1..] else written;
    if (unsigned.len == 0) return null;
    for (unsigned) |byte| if (!std.ascii.isDigit(byte)) return null;
    if (std.mem.eql(u8, written, "-0")) return null;
    return std.fmt.parseInt(T, written, 10) catch null;
}

/// The fields of structs in their order, without spaces.
pub fn encode(memory: Allocator, value: anytype) ![]const u8 {
    return std.json.Stringify.valueAlloc(memory, value, .{});
}
