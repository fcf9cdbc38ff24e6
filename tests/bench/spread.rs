//! The statistics used here: the middle of a few values and how far they lie apart, quantiles of many, and how one quantity grows with another. Pure.

use serde::{Deserialize, Serialize};

/// Median, lowest and highest. With an even number of values the median is the mean of the two in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` without values.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, upper),
            _ => upper,
        };
        Some(Self { median, min: *sorted.first()?, max: *sorted.last()? })
    }
}

/// The smallest value that so many of a thousand values do not exceed; `None` without values. `sorted` ascends.
pub(crate) fn permille(sorted: &[f64], permille: usize) -> Option<f64> {
    let rank = (sorted.len() * permille).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied()
}

/// The exponent `b` of `y = a * x^b`, fitted by least squares over the logarithms: 1 is proportional, 2 quadratic, 0 constant. `None` without two
/// different `x`, or where a value is not positive.
pub(crate) fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    if points.iter().any(|(x, y)| *x <= 0.0 || *y <= 0.0) {
        return None;
    }
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let (mean_x, mean_y) = (logs.iter().map(|(x, _)| x).sum::<f64>() / count, logs.iter().map(|(_, y)| y).sum::<f64>() / count);
    let variance: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let together: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (variance > 0.0).then(|| together / variance)
}

/// The largest exponent between two neighbours in `x`: what a fit over all of them smooths away. `points` ascend.
pub(crate) fn steepest(points: &[(f64, f64)]) -> Option<f64> {
    points.windows(2).filter_map(exponent).max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middle_and_ends() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 8.0]), Some(Spread { median: 3.0, min: 1.0, max: 8.0 }));
        assert_eq!(Spread::of(&[5.0]), Some(Spread { median: 5.0, min: 5.0, max: 5.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let thousand: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!((permille(&thousand, 500), permille(&thousand, 990), permille(&thousand, 999)), (Some(500.0), Some(990.0), Some(999.0)));
        assert_eq!((permille(&[4.0], 999), permille(&[1.0, 2.0], 500), permille(&[], 500)), (Some(4.0), Some(1.0), None));
    }

    #[test]
    fn growth_is_found_again() {
        let squares: Vec<(f64, f64)> = [1.0, 10.0, 100.0, 1000.0].iter().map(|x| (*x, 3.0 * x * x)).collect();
        assert!((exponent(&squares).unwrap() - 2.0).abs() < 1e-9);
        let constant = [(1.0, 5.0), (1000.0, 5.0)];
        assert!(exponent(&constant).unwrap().abs() < 1e-9);
        let bent = [(1.0, 9.0), (10.0, 1.0), (100.0, 100.0)];
        assert!((steepest(&bent).unwrap() - 2.0).abs() < 1e-9 && exponent(&bent).unwrap() < 1.0);
        assert_eq!(steepest(&bent[..1]), None);
        assert_eq!((exponent(&[(1.0, 1.0)]), exponent(&[]), exponent(&[(0.0, 1.0), (2.0, 3.0)])), (None, None, None));
    }
}
