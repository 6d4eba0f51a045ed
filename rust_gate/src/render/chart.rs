//! What charts of a trend are made of, in whatever they are drawn.

use cp1_format::{MetricTrend, Trend, TrendSeries};

use crate::statistics::e_divisive::SIDE_MIN;

/// Reports that stand in one place of a chart: one, or where there are more reports than places, several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Column {
    /// Which place, from 0.
    pub place: usize,
    /// The first and the last of its reports that have a figure.
    pub reports: (u64, u64),
    /// The smallest figure.
    pub low: f64,
    /// The median.
    pub middle: f64,
    /// The largest.
    pub high: f64,
}

/// The place of a report among so many places.
#[must_use]
pub fn place(report: u64, reports: usize, places: usize) -> usize {
    let report = usize::try_from(report).unwrap_or(usize::MAX);
    if reports <= places { report } else { report.saturating_mul(places) / reports }
}

/// The figures of a series in so many places at most.
#[must_use]
pub fn columns(series: &TrendSeries, reports: usize, places: usize) -> Vec<Column> {
    let points: Vec<(usize, u64, f64)> = series
        .points
        .iter()
        .map(|point| {
            (place(point.report, reports, places), point.report, point.value.approximate())
        })
        .filter(|(_, _, figure)| figure.is_finite())
        .collect();
    let of_place = |points: &[(usize, u64, f64)]| {
        let (place, first, _) = *points.first()?;
        let (_, last, _) = *points.last()?;
        let mut figures: Vec<f64> = points.iter().map(|(_, _, figure)| *figure).collect();
        figures.sort_by(f64::total_cmp);
        let (low, high) = (*figures.first()?, *figures.last()?);
        let middle = cp1_format::summary::median(figures)?;
        Some(Column { place, reports: (first, last), low, middle, high })
    };
    points.chunk_by(|(one, ..), (other, ..)| one == other).filter_map(of_place).collect()
}

/// The ends of an axis on which all of these can be seen; `None` of none.
#[must_use]
pub fn span(figures: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = figures.filter(|figure| figure.is_finite()).fold(None, |ends, figure| {
        let (low, high) = ends.unwrap_or((figure, figure));
        Some((figure.min(low), figure.max(high)))
    })?;
    // One figure alone stands in the middle.
    let room = if low < high { 0.0 } else { (low.abs() * 0.05).max(f64::MIN_POSITIVE) };
    let room = if low == 0.0 && high == 0.0 { 1.0 } else { room };
    Some((low - room, high + room))
}

/// How far up on an axis a figure is, from 0 to 1.
#[must_use]
pub fn height(figure: f64, (low, high): (f64, f64)) -> f64 {
    let share = (figure - low) / (high - low);
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 }
}

/// A figure with four digits, or all before its point.
#[must_use]
pub fn figure(figure: f64) -> String {
    if figure == 0.0 || !figure.is_finite() {
        return "0".to_owned();
    }
    let before_point = figure.abs().log10().floor();
    let places = (3.0 - before_point).clamp(0.0, 9.0) as usize;
    let text = format!("{figure:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// One chart of a trend: a metric's figures, or its changes.
#[derive(Debug, Clone, Copy)]
pub struct Chart<'a> {
    /// Of which metric.
    pub metric: &'a MetricTrend,
    /// Which of its series.
    pub series: &'a TrendSeries,
    /// Whether these are changes, in percent.
    pub is_change: bool,
}

impl<'a> Chart<'a> {
    /// The charts of a metric: its figures, and its changes where there are any.
    pub fn of(metric: &'a MetricTrend) -> impl Iterator<Item = Self> {
        let figures = Self { metric, series: &metric.figures, is_change: false };
        let changes = Self { metric, series: &metric.changes, is_change: true };
        std::iter::once(figures).chain((!metric.changes.points.is_empty()).then_some(changes))
    }

    /// What it shows.
    #[must_use]
    pub fn title(&self) -> String {
        let name = self.metric.metric.name();
        let reports = match self.series.points.len() {
            1 => "1 report".to_owned(),
            count => format!("{count} reports"),
        };
        match (self.is_change, self.metric.metric.unit()) {
            (true, _) => format!("{name}, change from the frozen commit in %, {reports}"),
            (false, "") => format!("{name}, {reports}"),
            (false, unit) => format!("{name} in {unit}, {reports}"),
        }
    }

    /// The limit, if it is one on what the chart shows.
    #[must_use]
    pub fn limit(&self) -> Option<f64> {
        let limit = self.metric.limit.as_ref().filter(|_| self.is_change)?;
        Some(limit.change_pct.approximate())
    }

    /// The ends of its axis: of changes no change and the limit are among them.
    #[must_use]
    pub fn span(&self, columns: &[Column]) -> Option<(f64, f64)> {
        let figures = columns.iter().flat_map(|column| [column.low, column.high]);
        let lines = self.limit().into_iter().chain(self.is_change.then_some(0.0));
        if columns.is_empty() { None } else { span(figures.chain(lines)) }
    }

    /// The figure that all of its reports have, if there is one: nothing to draw.
    #[must_use]
    pub fn always(&self) -> Option<String> {
        let (first, others) = self.series.points.split_first()?;
        let is_always = !others.is_empty() && others.iter().all(|point| point.value == first.value);
        is_always.then(|| format!("always {}", self.words(first.value.approximate())))
    }

    /// A figure of it.
    #[must_use]
    pub fn words(&self, value: f64) -> String {
        match self.is_change {
            true => {
                let sign = if value > 0.0 { "+" } else { "" };
                format!("{sign}{} %", figure(value))
            }
            false => format!("{} {}", figure(value), self.metric.metric.unit()).trim().to_owned(),
        }
    }

    /// Each change point in words: from what to what, and how sure.
    pub fn changes(&self) -> impl Iterator<Item = (&'a cp1_format::ChangePoint, String)> {
        let this = *self;
        self.series.change_points.iter().map(move |change| {
            let (before, after) = (change.before.approximate(), change.after.approximate());
            let by = match (this.is_change, before) {
                (false, 1e-300..) => format!(" ({:+.1} %)", (after / before - 1.0) * 100.0),
                _ => String::new(),
            };
            let verdict = if this.metric.is_worse(change) { "worse" } else { "better" };
            let (from, to) = (this.words(before), this.words(after));
            (change, format!("{verdict}: from {from} to {to}{by}, p = {}", change.p_value))
        })
    }

    /// How much of its limit the newest report uses that has a figure to tell it by.
    #[must_use]
    pub fn used(&self) -> Option<String> {
        let limit = self.metric.limit.as_ref()?;
        let last = limit.used.last()?;
        let limit = self.words_of_limit(limit.change_pct.approximate());
        let share = match last.used_pct.is_zero() {
            true => "nothing".to_owned(),
            false => format!("{} %", last.used_pct),
        };
        Some(format!(
            "the newest uses {share} of its limit of {limit}, against {}",
            last.against.name()
        ))
    }

    fn words_of_limit(&self, limit: f64) -> String {
        Chart { is_change: true, ..*self }.words(limit)
    }
}

/// From when to when.
#[must_use]
pub fn period(trend: &Trend) -> String {
    match (trend.reports.first(), trend.reports.last(), trend.reports.len()) {
        (Some(first), Some(_), 1) => format!("1 report of {}", day(&first.timestamp)),
        (Some(first), Some(last), count) => {
            format!("{count} reports from {} to {}", day(&first.timestamp), day(&last.timestamp))
        }
        _ => "no report".to_owned(),
    }
}

/// The day of a time.
#[must_use]
pub fn day(timestamp: &cp1_format::Timestamp) -> String {
    cp1_format::Date::from(timestamp).to_string()
}

/// What the charts say, and what they cannot.
#[must_use]
pub fn how_to_read(trend: &Trend) -> [String; 3] {
    let percent = figure(trend.significance.approximate() * 100.0);
    [
        "A figure is the machine's as much as the router's: the same router was seen to differ by 30 % \
         between two sessions on one machine. Its change points may be either's."
            .to_owned(),
        "A change was measured in turn with the frozen commit, slice by slice, so it is the router's, on \
         whatever machine; it starts anew where the baseline moves."
            .to_owned(),
        format!(
            "Change points are those of E-divisive: a series without any change has one in {percent} % of \
             cases at most. One is told {SIDE_MIN} reports late at the soonest; its commit is the first that was \
             measured after it, and what changed came with it or since the report before."
        ),
    ]
}
