//! Follows each aircraft from flight to flight. The contract, byte for byte, is ../../rotation/README.md. It knows no WebAssembly: `main.zig`
//! hands it the host, tests hand it a fake one.

const std = @import("std");
const json = @import("json.zig");
const seriatim = @import("seriatim");
const Allocator = std.mem.Allocator;
const Event = seriatim.Event;
const Failure = seriatim.Failure;

const threshold_max = 24 * 60;

const Flight = struct {
    carrier: []const u8,
    flight: u32,
    origin: []const u8,
    dest: []const u8,

    fn read(from: *json.Reader) !Flight {
        return .{
            .carrier = try from.text("carrier"),
            .flight = try from.whole(u32, "flight"),
            .origin = try from.text("origin"),
            .dest = try from.text("dest"),
        };
    }

    fn is(a: Flight, b: Flight) bool {
        return std.mem.eql(u8, a.carrier, b.carrier) and a.flight == b.flight and
            std.mem.eql(u8, a.origin, b.origin) and std.mem.eql(u8, a.dest, b.dest);
    }

    pub fn format(it: Flight, to: *std.Io.Writer) !void {
        try to.print("{s}{d} {s}-{s}", .{ it.carrier, it.flight, it.origin, it.dest });
    }
};

// What is remembered and what is sent. The fields stand in the order of their names, in which they are written.

const Airborne = struct {
    carrier: []const u8,
    dep_delay: i32,
    dest: []const u8,
    flight: u32,
    inherited: ?u32,
    origin: []const u8,

    fn where(it: Airborne) Flight {
        return .{ .carrier = it.carrier, .flight = it.flight, .origin = it.origin, .dest = it.dest };
    }
};

const Previous = struct { arr_delay: ?i32, carrier: []const u8, dest: []const u8, flight: u32, origin: []const u8, time: []const u8 };

const Total = struct {
    alerts: u64 = 0,
    diversions: u64 = 0,
    flights: u64 = 0,
    inherited: u64 = 0,
    late_arrival: u64 = 0,
    late_departure: u64 = 0,
    minutes: u64 = 0,
    untimed: u64 = 0,
};

const Aircraft = struct { airborne: ?Airborne = null, previous: ?Previous = null, total: Total = .{} };

const Alert = struct {
    carrier: []const u8,
    cause: []const u8,
    dep_delay: i32,
    dest: []const u8,
    flight: u32,
    inherited: ?u32,
    origin: []const u8,
    own: ?u32,
    previous: ?Previous,
    tailnum: []const u8,
    threshold: u32,
    time: []const u8,
};

const Summary = struct {
    air_time: ?u32,
    arr_delay: ?i32,
    carrier: []const u8,
    dep_delay: i32,
    dest: []const u8,
    flight: u32,
    inherited: ?u32,
    origin: []const u8,
    outcome: []const u8,
    tailnum: []const u8,
    time: []const u8,
    total: Total,
};

/// Handles one event of one aircraft. Memory is for the length of the call.
pub fn handle(memory: Allocator, event: Event, host: anytype) !?Failure {
    var call: Call(@TypeOf(host)) = .{ .memory = memory, .event = event, .host = host };
    call.run() catch |err| switch (err) {
        error.Failed => return call.failure,
        error.OutOfMemory => return err,
    };
    return null;
}

/// One call: what went wrong is kept in `failure`.
fn Call(Host: type) type {
    return struct {
        memory: Allocator,
        event: Event,
        host: Host,
        failure: ?Failure = null,

        const Self = @This();
        const Error = error{ Failed, OutOfMemory };
        const Common = struct { reader: json.Reader, flight: Flight, tailnum: []const u8, time: []const u8 };

        fn run(call: *Self) Error!void {
            const limit = try call.threshold();
            if (std.mem.eql(u8, call.event.kind, "departure")) return call.departed(limit);
            if (std.mem.eql(u8, call.event.kind, "arrival")) return call.ended(false);
            if (std.mem.eql(u8, call.event.kind, "diversion")) return call.ended(true);
            return call.reject("kind \"{s}\" is none of departure, arrival, diversion", .{call.event.kind});
        }

        fn departed(call: *Self, limit: u32) Error!void {
            var payload = try call.common();
            const delay = payload.reader.whole(i32, "dep_delay") catch |err| return call.wrong("payload", &payload.reader, err);
            var aircraft = try call.load();
            if (aircraft.airborne) |airborne| return call.impossible(payload.flight, airborne);
            const late: u32 = @intCast(@max(delay, 0));
            const inherited = inheritedOf(late, aircraft.previous);
            try call.add(&aircraft.total.late_departure, late);
            try call.add(&aircraft.total.inherited, inherited orelse 0);
            const flight = payload.flight;
            if (late > limit) {
                try call.add(&aircraft.total.alerts, 1);
                try call.emit("alert", Alert{
                    .carrier = flight.carrier,
                    .cause = cause(late, inherited),
                    .dep_delay = delay,
                    .dest = flight.dest,
                    .flight = flight.flight,
                    .inherited = inherited,
                    .origin = flight.origin,
                    .own = if (inherited) |known| late - known else null,
                    .previous = aircraft.previous,
                    .tailnum = payload.tailnum,
                    .threshold = limit,
                    .time = payload.time,
                });
            }
            aircraft.airborne = .{
                .carrier = flight.carrier,
                .dep_delay = delay,
                .dest = flight.dest,
                .flight = flight.flight,
                .inherited = inherited,
                .origin = flight.origin,
            };
            try call.save(aircraft);
        }

        fn ended(call: *Self, diverted: bool) Error!void {
            var payload = try call.common();
            var arr_delay: ?i32 = null;
            var air_time: ?u32 = null;
            if (!diverted) {
                arr_delay = payload.reader.wholeOrNull(i32, "arr_delay") catch |err| return call.wrong("payload", &payload.reader, err);
                air_time = payload.reader.wholeOrNull(u32, "air_time") catch |err| return call.wrong("payload", &payload.reader, err);
            }
            var aircraft = try call.load();
            const flight = payload.flight;
            const from = aircraft.airborne orelse return call.impossible(flight, null);
            if (!from.where().is(flight)) return call.impossible(flight, from);
            const total = &aircraft.total;
            try call.add(&total.flights, 1);
            try call.add(&total.diversions, @intFromBool(diverted));
            try call.add(&total.late_arrival, @intCast(@max(arr_delay orelse 0, 0)));
            try call.add(&total.minutes, air_time orelse 0);
            try call.add(&total.untimed, @intFromBool(air_time == null));
            try call.emit("summary", Summary{
                .air_time = air_time,
                .arr_delay = arr_delay,
                .carrier = flight.carrier,
                .dep_delay = from.dep_delay,
                .dest = flight.dest,
                .flight = flight.flight,
                .inherited = from.inherited,
                .origin = flight.origin,
                .outcome = call.event.kind,
                .tailnum = payload.tailnum,
                .time = payload.time,
                .total = total.*,
            });
            aircraft.airborne = null;
            aircraft.previous = .{
                .arr_delay = arr_delay,
                .carrier = flight.carrier,
                .dest = flight.dest,
                .flight = flight.flight,
                .origin = flight.origin,
                .time = payload.time,
            };
            try call.save(aircraft);
        }

        /// How late a departure may be without an alert. A setting can be put right, so without a good one the event is tried again.
        fn threshold(call: *Self) Error!u32 {
            const setting = call.host.configGet("threshold-minutes") orelse return call.retry(
                "config \"threshold-minutes\" is missing: how many minutes late a departure may be without an alert",
                .{},
            );
            if (json.digits(u32, setting)) |minutes| {
                if (minutes <= threshold_max) return minutes;
            }
            return call.retry("config \"threshold-minutes\" is \"{s}\": not a whole number from 0 to {d}", .{ setting, threshold_max });
        }

        /// What every payload has; it must be about the event's aircraft.
        fn common(call: *Self) Error!Common {
            var reader: json.Reader = .{};
            const found = readCommon(call.memory, &reader, call.event.payload) catch |err| return call.wrong("payload", &reader, err);
            if (!std.mem.eql(u8, found.tailnum, call.event.entity)) {
                return call.reject("the payload's tailnum is \"{s}\", the entity is \"{s}\"", .{ found.tailnum, call.event.entity });
            }
            return found;
        }

        fn readCommon(memory: Allocator, reader: *json.Reader, payload: []const u8) !Common {
            reader.* = try json.Reader.of(memory, payload);
            const flight = try Flight.read(reader);
            return .{ .flight = flight, .tailnum = try reader.text("tailnum"), .time = try reader.text("time"), .reader = reader.* };
        }

        /// The aircraft as it was left; a new one is on the ground and has flown nothing.
        fn load(call: *Self) Error!Aircraft {
            const value = call.host.stateGet("aircraft") orelse return .{};
            var reader: json.Reader = .{};
            return readAircraft(call.memory, &reader, value) catch |err| return call.wrong("state `aircraft`", &reader, err);
        }

        fn readAircraft(memory: Allocator, reader: *json.Reader, value: []const u8) !Aircraft {
            reader.* = try json.Reader.of(memory, value);
            var aircraft: Aircraft = .{};
            if (try reader.objectOrNull("airborne")) |found| {
                var from = found;
                const flight = try Flight.read(&from);
                aircraft.airborne = .{
                    .carrier = flight.carrier,
                    .dep_delay = try from.whole(i32, "dep_delay"),
                    .dest = flight.dest,
                    .flight = flight.flight,
                    .inherited = try from.wholeOrNull(u32, "inherited"),
                    .origin = flight.origin,
                };
            }
            if (try reader.objectOrNull("previous")) |found| {
                var from = found;
                const flight = try Flight.read(&from);
                aircraft.previous = .{
                    .arr_delay = try from.wholeOrNull(i32, "arr_delay"),
                    .carrier = flight.carrier,
                    .dest = flight.dest,
                    .flight = flight.flight,
                    .origin = flight.origin,
                    .time = try from.text("time"),
                };
            }
            var total = try reader.object("total");
            inline for (comptime std.meta.fieldNames(Total)) |name| {
                @field(aircraft.total, name) = try total.whole(u64, name);
            }
            return aircraft;
        }

        fn save(call: *Self, aircraft: Aircraft) Error!void {
            call.host.stateSet("aircraft", try json.encode(call.memory, aircraft));
        }

        fn emit(call: *Self, what: []const u8, message: anytype) Error!void {
            const token = try seriatim.subjectToken(call.memory, call.event.entity);
            const subject = try std.fmt.allocPrint(call.memory, "rotation.{s}.{s}", .{ what, token });
            call.host.emit(subject, &.{}, try json.encode(call.memory, message));
        }

        fn add(call: *Self, total: *u64, amount: u32) Error!void {
            total.* = std.math.add(u64, total.*, amount) catch return call.reject("a total of the aircraft would be too large", .{});
        }

        fn impossible(call: *Self, flight: Flight, airborne: ?Airborne) Error {
            const kind = call.event.kind;
            const it = airborne orelse return call.reject("{s} of {f} while on the ground: impossible in true order", .{ kind, flight });
            return call.reject("{s} of {f} while airborne with {f}: impossible in true order", .{ kind, flight, it.where() });
        }

        fn wrong(call: *Self, what: []const u8, reader: *const json.Reader, err: anyerror) Error {
            if (err == error.OutOfMemory) return error.OutOfMemory;
            return call.reject("{s} is not the expected JSON: {t} at `{s}`", .{ what, err, reader.at });
        }

        fn reject(call: *Self, comptime text: []const u8, arguments: anytype) Error {
            call.failure = .{ .kind = .reject, .reason = try std.fmt.allocPrint(call.memory, text, arguments) };
            return error.Failed;
        }

        fn retry(call: *Self, comptime text: []const u8, arguments: anytype) Error {
            call.failure = .{ .kind = .retry, .reason = try std.fmt.allocPrint(call.memory, text, arguments) };
            return error.Failed;
        }
    };
}

/// How many of the minutes may have come from the late arrival before; null if nobody knows.
fn inheritedOf(late: u32, previous: ?Previous) ?u32 {
    if (late == 0) return 0;
    const arr_delay = (previous orelse return null).arr_delay orelse return null;
    return @min(late, @as(u32, @intCast(@max(arr_delay, 0))));
}

fn cause(late: u32, inherited: ?u32) []const u8 {
    const known = inherited orelse return "unknown";
    return if (2 * @as(u64, known) >= late) "late-aircraft" else "other";
}

test {
    _ = @import("test.zig");
}
