//! Rows of the file as flights: every field checked, cancelled flights left out.

use std::io::Read;
use std::str::FromStr;

use csv::StringRecord;
use time::{Date, Duration, Month, OffsetDateTime, Time};

use crate::{Error, Problem};

/// Minutes of a day, and the last time of day, 2400.
const DAY: i64 = 24 * 60;

/// A flight that left.
#[derive(Debug)]
pub(crate) struct Flight {
    /// Where it stands in the file.
    pub(crate) line: u64,
    pub(crate) tailnum: String,
    pub(crate) carrier: String,
    pub(crate) number: u32,
    pub(crate) origin: String,
    pub(crate) dest: String,
    /// When it should have left, on New York's clock as if that were UTC, like the two below.
    pub(crate) scheduled: OffsetDateTime,
    pub(crate) departure: OffsetDateTime,
    /// When the flight ended, as near as the file tells.
    pub(crate) end: OffsetDateTime,
    pub(crate) dep_delay: i32,
    /// None: it did not arrive.
    pub(crate) arrival: Option<Arrival>,
}

/// What is known of an arrival.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) arr_delay: Option<i32>,
    pub(crate) air_time: Option<u32>,
}

/// The flights of the file that left, in the order of its rows.
pub(crate) fn flights(file: &str, csv: impl Read) -> Result<Vec<Flight>, Error> {
    let mut reader = csv::Reader::from_reader(csv);
    let header = reader.headers().map_err(|source| Error::Csv { file: file.to_owned(), line: 1, source })?.clone();
    let columns = Columns::of(file, &header)?;
    let mut flights = Vec::new();
    let mut record = StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(flights),
            Err(source) => return Err(Error::Csv { file: file.to_owned(), line: record_line(&source).unwrap_or(line), source }),
        }
        let line = record.position().map_or(line, csv::Position::line);
        flights.extend(Row { file, line, columns: &columns, record: &record }.flight()?);
    }
}

fn record_line(error: &csv::Error) -> Option<u64> {
    error.position().map(csv::Position::line)
}

/// A column of the file: its name and its place in a row.
#[derive(Clone, Copy)]
struct Column {
    name: &'static str,
    index: usize,
}

/// The columns that are used; others may be there.
struct Columns {
    year: Column,
    month: Column,
    day: Column,
    dep_time: Column,
    sched_dep_time: Column,
    dep_delay: Column,
    arr_time: Column,
    sched_arr_time: Column,
    arr_delay: Column,
    carrier: Column,
    flight: Column,
    tailnum: Column,
    origin: Column,
    dest: Column,
    air_time: Column,
}

impl Columns {
    fn of(file: &str, header: &StringRecord) -> Result<Self, Error> {
        let find = |name| match header.iter().position(|there| there == name) {
            Some(index) => Ok(Column { name, index }),
            None => Err(Error::NoColumn { file: file.to_owned(), column: name }),
        };
        Ok(Self {
            year: find("year")?,
            month: find("month")?,
            day: find("day")?,
            dep_time: find("dep_time")?,
            sched_dep_time: find("sched_dep_time")?,
            dep_delay: find("dep_delay")?,
            arr_time: find("arr_time")?,
            sched_arr_time: find("sched_arr_time")?,
            arr_delay: find("arr_delay")?,
            carrier: find("carrier")?,
            flight: find("flight")?,
            tailnum: find("tailnum")?,
            origin: find("origin")?,
            dest: find("dest")?,
            air_time: find("air_time")?,
        })
    }
}

/// One row, and how to speak of it.
struct Row<'a> {
    file: &'a str,
    line: u64,
    columns: &'a Columns,
    record: &'a StringRecord,
}

impl Row<'_> {
    /// The flight, or none if it was cancelled.
    fn flight(&self) -> Result<Option<Flight>, Error> {
        let columns = self.columns;
        let (tailnum, carrier) = (self.text(columns.tailnum)?, self.text(columns.carrier)?);
        let (origin, dest) = (self.text(columns.origin)?, self.text(columns.dest)?);
        let number = self.number(columns.flight)?;
        let sched_dep_time = self.minutes(columns.sched_dep_time)?;
        let sched_arr_time = self.minutes(columns.sched_arr_time)?;
        let scheduled = self.date()? + Duration::minutes(sched_dep_time);
        if self.value(columns.dep_time).is_none() {
            self.absent(&[columns.dep_delay, columns.arr_time, columns.arr_delay, columns.air_time], "departure")?;
            return Ok(None);
        }
        let dep_time = self.minutes(columns.dep_time)?;
        let dep_delay: i16 = self.number(columns.dep_delay)?;
        if (sched_dep_time + i64::from(dep_delay) - dep_time).rem_euclid(DAY) != 0 {
            let raw = |column| self.value(column).unwrap_or_default().to_owned();
            let scheduled = raw(columns.sched_dep_time);
            let (delay, departure) = (raw(columns.dep_delay), raw(columns.dep_time));
            return Err(self.wrong(columns.dep_delay, Problem::Inconsistent { scheduled, delay, departure }));
        }
        let departure = scheduled + Duration::minutes(i64::from(dep_delay));
        let (arrival, minutes) = if self.value(columns.arr_time).is_some() {
            let arr_delay = self.optional::<i16>(columns.arr_delay)?.map(i32::from);
            let air_time = self.optional::<u16>(columns.air_time)?;
            let by_the_clocks = (self.minutes(columns.arr_time)? - dep_time).rem_euclid(DAY);
            (Some(Arrival { arr_delay, air_time: air_time.map(u32::from) }), air_time.map_or(by_the_clocks, i64::from))
        } else {
            self.absent(&[columns.arr_delay, columns.air_time], "arrival")?;
            (None, (sched_arr_time - sched_dep_time).rem_euclid(DAY))
        };
        let end = departure + Duration::minutes(minutes);
        let dep_delay = i32::from(dep_delay);
        Ok(Some(Flight { line: self.line, tailnum, carrier, number, origin, dest, scheduled, departure, end, dep_delay, arrival }))
    }

    /// The field, or none if it is `NA` or empty.
    fn value(&self, column: Column) -> Option<&str> {
        self.record.get(column.index).filter(|value| !matches!(*value, "" | "NA"))
    }

    fn text(&self, column: Column) -> Result<String, Error> {
        Ok(self.present(column)?.to_owned())
    }

    fn number<T: FromStr>(&self, column: Column) -> Result<T, Error> {
        let text = self.present(column)?;
        text.parse().map_err(|_| self.wrong(column, Problem::NotANumber(text.to_owned())))
    }

    fn optional<T: FromStr>(&self, column: Column) -> Result<Option<T>, Error> {
        self.value(column).map(|_| self.number(column)).transpose()
    }

    /// A time of day, HHMM, in minutes since midnight.
    fn minutes(&self, column: Column) -> Result<i64, Error> {
        let text = self.present(column)?;
        let time = text.parse::<u16>().ok().map(|time| (i64::from(time / 100), i64::from(time % 100)));
        match time {
            Some((hour, minute)) if minute < 60 && hour * 60 + minute <= DAY => Ok(hour * 60 + minute),
            _ => Err(self.wrong(column, Problem::NotATime(text.to_owned()))),
        }
    }

    /// Midnight of the row's date. The last year that fits is left out, so that delays and flights cannot lead beyond it.
    fn date(&self) -> Result<OffsetDateTime, Error> {
        let columns = self.columns;
        let (year, month, day) = (self.number::<u16>(columns.year)?, self.number::<u8>(columns.month)?, self.number::<u8>(columns.day)?);
        let date = Month::try_from(month).and_then(|month| Date::from_calendar_date(year.into(), month, day));
        match date {
            Ok(date) if (1..=9998).contains(&year) => Ok(OffsetDateTime::new_utc(date, Time::MIDNIGHT)),
            _ => Err(self.wrong(columns.day, Problem::NotADate(format!("{year}-{month}-{day}")))),
        }
    }

    fn present(&self, column: Column) -> Result<&str, Error> {
        self.value(column).ok_or_else(|| self.wrong(column, Problem::Missing))
    }

    fn absent(&self, columns: &[Column], without: &'static str) -> Result<(), Error> {
        match columns.iter().find_map(|column| Some((*column, self.value(*column)?))) {
            Some((column, value)) => Err(self.wrong(column, Problem::Unexpected(value.to_owned(), without))),
            None => Ok(()),
        }
    }

    fn wrong(&self, column: Column, problem: Problem) -> Error {
        Error::Field { file: self.file.to_owned(), line: self.line, column: column.name, problem }
    }
}
