//! The contract in ../../rotation/README.md, without a host: `zig build test`.

const std = @import("std");
const rotation = @import("rotation.zig");
const seriatim = @import("seriatim");
const testing = std.testing;

const row = "{\"tailnum\":\"N1\",\"time\":\"2013-01-01T05:00:00Z\",\"carrier\":\"UA\",\"flight\":1,\"origin\":\"EWR\",\"dest\":\"IAH\"";

/// The host of one aircraft: its state, and what was emitted last.
const Craft = struct {
    arena: std.heap.ArenaAllocator,
    threshold: ?[]const u8 = "15",
    state: ?[]const u8 = null,
    subject: []const u8 = "",
    payload: []const u8 = "",
    sent: usize = 0,

    fn init() Craft {
        return .{ .arena = .init(testing.allocator) };
    }
    fn deinit(craft: *Craft) void {
        craft.arena.deinit();
    }

    pub fn configGet(craft: *Craft, _: []const u8) ?[]const u8 {
        return craft.threshold;
    }
    pub fn stateGet(craft: *Craft, _: []const u8) ?[]const u8 {
        return craft.state;
    }
    pub fn stateSet(craft: *Craft, _: []const u8, value: []const u8) void {
        craft.state = value;
    }
    pub fn emit(craft: *Craft, subject: []const u8, _: []const seriatim.Header, payload: []const u8) void {
        craft.subject = subject;
        craft.payload = payload;
        craft.sent += 1;
    }

    fn handled(craft: *Craft, kind: []const u8, payload: []const u8) !?seriatim.Failure {
        return rotation.handle(craft.arena.allocator(), .{ .entity = "N1", .kind = kind, .payload = payload }, craft);
    }
    fn handle(craft: *Craft, kind: []const u8, comptime more: []const u8) !void {
        try testing.expectEqual(null, try craft.handled(kind, row ++ more ++ "}"));
    }
    /// The text of a failure, which leaves no trace, begins with this.
    fn fails(craft: *Craft, kind: @FieldType(seriatim.Failure, "kind"), event: []const u8, payload: []const u8, reason: []const u8) !void {
        const state, const sent = .{ craft.state, craft.sent };
        const failure = (try craft.handled(event, payload)) orelse return error.ItDidNotFail;
        try testing.expectEqual(kind, failure.kind);
        try testing.expectStringStartsWith(failure.reason, reason);
        try testing.expectEqual(sent, craft.sent);
        if (state) |before| try testing.expectEqualStrings(before, craft.state.?) else try testing.expectEqual(null, craft.state);
    }
};

test "a flight gives the bytes of the contract" {
    var craft = Craft.init();
    defer craft.deinit();
    const end = "\"tailnum\":\"N1\",\"threshold\":15,\"time\":\"2013-01-01T05:00:00Z\"}";
    const flight = "\"dest\":\"IAH\",\"flight\":1,\"inherited\":";
    const previous = "{\"arr_delay\":12,\"carrier\":\"UA\",\"dest\":\"IAH\",\"flight\":1,\"origin\":\"EWR\",\"time\":\"2013-01-01T05:00:00Z\"}";
    try craft.handle("departure", ",\"dep_delay\":16");
    try testing.expectEqualStrings("rotation.alert.N1", craft.subject);
    try testing.expectEqualStrings("{\"carrier\":\"UA\",\"cause\":\"unknown\",\"dep_delay\":16," ++ flight ++
        "null,\"origin\":\"EWR\",\"own\":null,\"previous\":null," ++ end, craft.payload);
    try craft.handle("arrival", ",\"arr_delay\":12,\"air_time\":200");
    try testing.expectEqualStrings("rotation.summary.N1", craft.subject);
    try testing.expectEqualStrings("{\"air_time\":200,\"arr_delay\":12,\"carrier\":\"UA\",\"dep_delay\":16," ++ flight ++
        "null,\"origin\":\"EWR\",\"outcome\":\"arrival\",\"tailnum\":\"N1\",\"time\":\"2013-01-01T05:00:00Z\",\"total\":" ++
        "{\"alerts\":1,\"diversions\":0,\"flights\":1,\"inherited\":0,\"late_arrival\":12,\"late_departure\":16,\"minutes\":200,\"untimed\":0}}", craft.payload);
    try craft.handle("departure", ",\"dep_delay\":24");
    try testing.expectEqualStrings("{\"carrier\":\"UA\",\"cause\":\"late-aircraft\",\"dep_delay\":24," ++ flight ++
        "12,\"origin\":\"EWR\",\"own\":12,\"previous\":" ++ previous ++ "," ++ end, craft.payload);
    try testing.expectEqual(3, craft.sent);
    try testing.expectEqualStrings("{\"airborne\":{\"carrier\":\"UA\",\"dep_delay\":24," ++ flight ++ "12,\"origin\":\"EWR\"},\"previous\":" ++
        previous ++ ",\"total\":{\"alerts\":2,\"diversions\":0,\"flights\":1,\"inherited\":12,\"late_arrival\":12,\"late_departure\":40," ++
        "\"minutes\":200,\"untimed\":0}}", craft.state.?);
}

test "what cannot happen in true order is rejected" {
    var craft = Craft.init();
    defer craft.deinit();
    try craft.fails(.reject, "diversion", row ++ "}", "diversion of UA1 EWR-IAH while on the ground: impossible in true order");
    try craft.handle("departure", ",\"dep_delay\":0");
    try craft.fails(.reject, "departure", row ++ ",\"dep_delay\":0}", "departure of UA1 EWR-IAH while airborne with UA1 EWR-IAH: impossible in true order");
}

test "a payload that is not as described is rejected" {
    var craft = Craft.init();
    defer craft.deinit();
    for ([_][]const u8{ "\"1\"", "2.0", "-0", "1e2", "true", "null", "2147483648" }) |digits| {
        const payload = try std.fmt.allocPrint(craft.arena.allocator(), "{s},\"dep_delay\":{s}}}", .{ row, digits });
        try craft.fails(.reject, "departure", payload, "payload is not the expected JSON: ");
    }
    for ([_][]const u8{ "", "[]", "null", "NaN", "\xff", "{\"tailnum\":\"\\ud800\"}", row ++ "}" }) |payload| {
        try craft.fails(.reject, "departure", payload, "payload is not the expected JSON: ");
    }
}

test "a total is never too large" {
    var craft = Craft.init();
    defer craft.deinit();
    try craft.handle("departure", ",\"dep_delay\":1");
    craft.state = try std.mem.replaceOwned(u8, craft.arena.allocator(), craft.state.?, "\"flights\":0", "\"flights\":18446744073709551615");
    try craft.fails(.reject, "diversion", row ++ "}", "a total of the aircraft would be too large");
}

test "without a good threshold it asks to be called again" {
    var craft = Craft.init();
    defer craft.deinit();
    for ([_]?[]const u8{ null, "", "soon", "+5", " 5", "1441", "99999999999" }) |setting| {
        craft.threshold = setting;
        try craft.fails(.retry, "departure", row ++ "}", "config \"threshold-minutes\" is ");
    }
}
