//! Budgets with what was measured of them.

use serde::Serialize;

/// Whether a budget was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was.
    Met,
    /// It was not.
    Missed,
    /// This run could not tell: what was measured lies at another size than the budget names.
    Smaller,
    /// It was not measured.
    NotMeasured,
}

/// A budget, and what was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What it is about.
    pub what: String,
    /// What is demanded, in words.
    pub budget: String,
    /// What was measured, in words.
    pub measured: String,
    /// The limit beside it, in words; empty where there is none.
    pub limit: String,
    /// How far it is from the budget: 1 just meets it, and more is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Whether it was met.
    pub verdict: Verdict,
}

impl Row {
    /// A value of which at least `budget` is demanded.
    pub(crate) fn at_least(what: &str, unit: &str, budget: f64, value: f64) -> Self {
        Self {
            what: what.to_owned(),
            budget: format!("≥ {} {unit}", short(budget)),
            measured: format!("{} {unit}", short(value)),
            limit: String::new(),
            ratio: Some(value / budget),
            verdict: if value >= budget {
                Verdict::Met
            } else {
                Verdict::Missed
            },
        }
    }

    /// A value of which at most `budget` is allowed.
    pub(crate) fn at_most(what: &str, unit: &str, budget: f64, value: f64) -> Self {
        Self {
            what: what.to_owned(),
            budget: format!("≤ {} {unit}", short(budget)),
            measured: format!("{} {unit}", short(value)),
            limit: String::new(),
            ratio: Some(budget / value.max(1e-9)),
            verdict: if value <= budget {
                Verdict::Met
            } else {
                Verdict::Missed
            },
        }
    }

    /// A budget that nothing was measured of.
    pub(crate) fn not_measured(what: &str, budget: &str, why: &str) -> Self {
        Self {
            what: what.to_owned(),
            budget: budget.to_owned(),
            measured: why.to_owned(),
            limit: String::new(),
            ratio: None,
            verdict: Verdict::NotMeasured,
        }
    }

    pub(crate) fn limit(mut self, limit: impl Into<String>) -> Self {
        self.limit = limit.into();
        self
    }

    /// Says of a row that was measured with less than the budget names that it shows nothing if
    /// it was met. A budget that is missed with less is missed.
    pub(crate) fn with_less(mut self, less: bool, how: &str) -> Self {
        if less {
            self.measured = format!("{} ({how})", self.measured);
            if self.verdict == Verdict::Met {
                self.verdict = Verdict::Smaller;
            }
        }
        self
    }
}

/// Three significant digits, or all digits of a number that has more before its point.
fn short(value: f64) -> String {
    match value.abs() {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The rows as a table in Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "| what | budget | measured | limit beside it | ratio | met |\n|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let ratio = row.ratio.map(|ratio| format!("{ratio:.2}"));
        let met = match row.verdict {
            Verdict::Met => "yes",
            Verdict::Missed => "NO",
            Verdict::Smaller => "at this size",
            Verdict::NotMeasured => "not measured",
        };
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} | {met} |\n",
            row.what,
            row.budget,
            row.measured,
            row.limit,
            ratio.unwrap_or_default()
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Row, Verdict};

    #[test]
    fn a_budget_is_met_at_its_bound_and_missed_beyond() {
        let verdict = |row: &Row| row.verdict;
        assert_eq!(verdict(&Row::at_least("a", "/s", 10.0, 10.0)), Verdict::Met);
        assert_eq!(
            verdict(&Row::at_least("a", "/s", 10.0, 9.9)),
            Verdict::Missed
        );
        assert_eq!(verdict(&Row::at_most("a", "ms", 10.0, 10.0)), Verdict::Met);
        assert_eq!(
            verdict(&Row::at_most("a", "ms", 10.0, 10.1)),
            Verdict::Missed
        );
        assert_eq!(Row::at_most("a", "ms", 10.0, 5.0).ratio, Some(2.0));
    }

    #[test]
    fn a_smaller_run_can_miss_but_not_meet() {
        let met = Row::at_least("a", "/s", 10.0, 20.0).with_less(true, "with 5");
        assert_eq!(met.verdict, Verdict::Smaller);
        let missed = Row::at_least("a", "/s", 10.0, 2.0).with_less(true, "with 5");
        assert_eq!(missed.verdict, Verdict::Missed);
        let full = Row::at_least("a", "/s", 10.0, 20.0).with_less(false, "");
        assert_eq!(full.verdict, Verdict::Met);
    }
}
