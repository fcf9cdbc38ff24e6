//! Rows that make no sense: each is named by file, line and column.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use rotation_events::{Error, Event, Kind, parse, read};

const HEADER: &str = "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance";
const GOOD: &str = "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400";

fn events(rows: &[&str]) -> Result<Vec<Event>, Error> {
    parse("month.csv", [&[HEADER], rows].concat().join("\n").as_bytes())
}

fn error(row: &str) -> String {
    events(&[GOOD, row]).unwrap_err().to_string()
}

#[test]
fn a_bad_field_is_named_by_line_and_column() {
    let cases = [
        ("2013,1,2,517,515,2,830,819,11,UA,1545,,EWR,IAH,227,1400", "`tailnum`: is missing"),
        ("2013,1,2,517,515,2,830,819,11,UA,x,N1,EWR,IAH,227,1400", "`flight`: `x` is not a whole number of the expected size"),
        ("2013,1,2,517,515,2,830,819,1.5,UA,1,N1,EWR,IAH,227,1400", "`arr_delay`: `1.5` is not a whole number of the expected size"),
        ("2013,1,2,517,515,2,830,819,11,UA,1,N1,EWR,IAH,-7,1400", "`air_time`: `-7` is not a whole number of the expected size"),
        ("2013,1,2,517,575,2,830,819,11,UA,1,N1,EWR,IAH,227,1400", "`sched_dep_time`: `575` is not a time of day as HHMM, 0 to 2400"),
        ("2013,1,2,517,515,2,2401,819,11,UA,1,N1,EWR,IAH,227,1400", "`arr_time`: `2401` is not a time of day as HHMM, 0 to 2400"),
        ("2013,2,30,517,515,2,830,819,11,UA,1,N1,EWR,IAH,227,1400", "`day`: `2013-2-30` is not a date of the years 1 to 9998"),
        ("2013,1,2,517,515,NA,830,819,11,UA,1,N1,EWR,IAH,227,1400", "`dep_delay`: is missing"),
        ("2013,1,2,517,515,3,830,819,11,UA,1,N1,EWR,IAH,227,1400", "`dep_delay`: scheduled 515 and 3 minutes do not make 517"),
        ("2013,1,2,NA,515,NA,830,819,NA,UA,1,N1,EWR,IAH,NA,1400", "`arr_time`: `830` is there, but the flight has no departure"),
        ("2013,1,2,517,515,2,NA,819,NA,UA,1,N1,EWR,IAH,227,1400", "`air_time`: `227` is there, but the flight has no arrival"),
        (GOOD, "`flight`: flight UA1545-2013-01-01-EWR is in the file twice, the other time on line 2"),
    ];
    for (row, expected) in cases {
        assert_eq!(error(row), format!("month.csv, line 3, column {expected}"));
    }
}

#[test]
fn a_file_that_is_none_is_an_error() {
    assert!(error("2013,1,2").starts_with("month.csv, line 3: CSV error: record 2"));
    let headless = parse("month.csv", "year,month\n2013,1\n".as_bytes()).unwrap_err();
    assert_eq!(headless.to_string(), "month.csv, line 1: the header has no column `day`");
    assert!(matches!(read(Path::new("no-such-file.csv.gz")), Err(Error::Open { file, .. }) if file == "no-such-file.csv.gz"));
    assert!(matches!(read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))), Err(Error::Csv { line: 1, .. })));
}

#[test]
fn cancelled_flights_are_no_events_and_delays_lead_over_midnight() {
    let cancelled = "2013,1,31,NA,2355,NA,NA,259,NA,B6,1,N1,JFK,BQN,NA,1576";
    let late = "2013,1,31,5,2355,10,2400,259,NA,B6,3,N1,JFK,BQN,NA,1576";
    let events = events(&[cancelled, late]).unwrap();
    let [departure, arrival] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((departure.id.as_str(), departure.time.to_string()), ("B63-2013-01-31-JFK-dep", "2013-02-01 0:05:00.0 +00:00:00".into()));
    assert_eq!(arrival.kind, Kind::Arrival { arr_delay: None, air_time: None });
    assert_eq!(arrival.time.to_string(), "2013-02-02 0:00:00.0 +00:00:00", "by the clocks, where there is no air time");
}

#[test]
fn the_order_of_the_rows_does_not_matter() {
    let later = "2013,1,1,1000,1000,0,1200,1200,0,UA,7,N14228,EWR,ORD,100,700";
    assert_eq!(events(&[GOOD, later]).unwrap(), events(&[later, GOOD]).unwrap());
}
